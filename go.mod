module github.com/pqquic/pqquic

go 1.26.0

// The C sources that the build unpacks hold Go files of their own.
ignore (
	./build
	./third_party
)

require (
	github.com/stretchr/testify v1.12.1
	golang.org/x/crypto v0.58.0
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.49.0
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/text v0.43.0 // indirect
)

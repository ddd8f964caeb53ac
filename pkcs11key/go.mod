module github.com/pqquic/pqquic/pkcs11key

go 1.26.0

require (
	github.com/miekg/pkcs11 v1.1.2
	github.com/pqquic/pqquic v0.0.0
	github.com/stretchr/testify v1.12.1
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

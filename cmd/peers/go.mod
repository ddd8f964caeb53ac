module github.com/pqquic/pqquic/cmd/peers

go 1.26.0

// Command client sends a GET and a POST over HTTP/3.
//
//	client                     the server of this example, on this machine
//	client https://host:4443   another server
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/pqquic/pqquic/examples/internal/demo"
	"github.com/pqquic/pqquic/http3"
	"github.com/pqquic/pqquic/tlsprovider"
)

func main() {
	log.SetFlags(0)
	url, transport := "https://localhost:4443", new(http3.Transport)
	if len(os.Args) > 1 {
		url = os.Args[1]
	} else {
		roots, err := demo.DemoRoots()
		check(err)
		transport.TLS = &tlsprovider.Config{RootCAs: roots}
	}
	client := &http.Client{Transport: transport}
	defer transport.Close()

	resp, err := client.Get(url + "/whoami")
	check(err)
	show(resp)
	resp, err = client.Post(url+"/echo", "text/plain", strings.NewReader("Hello from the client"))
	check(err)
	show(resp)
}

// show prints a response.
func show(resp *http.Response) {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(err)
	fmt.Printf("%s %s, %s\n%s\n", resp.Proto, resp.Status, resp.TLS.CurveID, body)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

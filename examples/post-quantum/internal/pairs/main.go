// Command pairs runs pq_server and pq_client for every pair of providers and prints what each pair
// negotiated. Its exit status is 0 only if every pair agreed on X25519MLKEM768 (0x11EC) and exchanged data.
// With --classical, for an s2n-tls without post-quantum key exchange, pairs with s2n have to agree on another
// group. With --historic, for the s2n-tls of 2022, s2n has to agree on X25519 with Kyber512 (0x2F39) with itself.
// scripts/demo builds the programs and runs it.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/pqquic/pqquic/examples/internal/demo"
	"github.com/pqquic/pqquic/tlsprovider"
)

func main() {
	classical := flag.Bool("classical", false, "s2n has no post-quantum key exchange")
	historic := flag.Bool("historic", false, "s2n has the key exchanges of 2022")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: pairs [--classical|--historic] DIR (the folder of pq_server and pq_client)")
		os.Exit(2)
	}
	switch ok := run(flag.Arg(0), *classical || *historic, *historic); {
	case !ok && (*classical || *historic):
		fmt.Fprintln(os.Stderr, "NOT every pair exchanged data as this variant has to")
		os.Exit(1)
	case !ok:
		fmt.Fprintln(os.Stderr, "NOT every pair is post-quantum")
		os.Exit(1)
	case *historic:
		fmt.Println("every pair exchanged data; s2n negotiated X25519 with Kyber512 R3 (0x2F39) with itself, with the shares of 2022; " +
			"it is NOT post-quantum by today's standards")
	case *classical:
		fmt.Println("every pair exchanged data; pairs with s2n are CLASSICAL, because its library has no post-quantum key exchange")
	default:
		fmt.Println("every pair negotiated X25519MLKEM768 (0x11EC) and exchanged data")
	}
}

const format = "%-8s %-8s %-24s %-12s %-24s %12s  %s\n"

// kyber2022 is the outcome of two s2n providers of the variant historic: X25519 with Kyber512 of the third round,
// each half after its length.
var kyber2022 = demo.Outcome{GroupID: 0x2f39, ClientShareBytes: 2 + 32 + 2 + 800, ServerShareBytes: 2 + 32 + 2 + 768}

// matches reports whether an outcome has the group and the shares of want.
func matches(o *demo.Outcome, want demo.Outcome) bool {
	return o.GroupID == want.GroupID && o.ClientShareBytes == want.ClientShareBytes && o.ServerShareBytes == want.ServerShareBytes
}

// run tries every pair and reports whether all of them succeeded.
func run(dir string, classical, historic bool) bool {
	all, rows := true, []string{fmt.Sprintf(format, "server", "client", "key exchange", "share bytes", "cipher suite",
		"handshake us", "post-quantum, data exchanged")}
	addr := "127.0.0.1:4433"
	for _, server := range []string{"s2n", "native"} {
		for _, client := range []string{"s2n", "native"} {
			o, err := pair(dir, server, client, addr, classical)
			if errors.Is(err, errInUse) && addr != "127.0.0.1:0" {
				fmt.Println("UDP port 4433 is taken: using a free one")
				addr = "127.0.0.1:0"
				o, err = pair(dir, server, client, addr, classical)
			}
			verdict := "yes"
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			wantClassical := classical && (server == "s2n" || client == "s2n")
			switch {
			case err != nil || o.Reply == "" || wantClassical == tlsprovider.Group(o.GroupID).PostQuantum(),
				!wantClassical && tlsprovider.Group(o.GroupID) != tlsprovider.X25519MLKEM768,
				historic && server == "s2n" && client == "s2n" && !matches(o, kyber2022):
				all, verdict = false, "no"
			case wantClassical:
				verdict = "no, data exchanged"
			}
			row := []any{server, client, "", "", "", "", verdict}
			if o != nil {
				copy(row[2:], []any{fmt.Sprintf("%s 0x%04X", o.Group, o.GroupID),
					fmt.Sprintf("%d+%d", o.ClientShareBytes, o.ServerShareBytes), o.CipherSuite, fmt.Sprint(o.HandshakeMicros)})
			}
			rows = append(rows, fmt.Sprintf(format, row...))
		}
	}
	fmt.Print(strings.Join(rows, ""))
	return all
}

var errInUse = errors.New("the server's port is in use")

// pair runs a server and a client and returns what the client reports.
func pair(dir, server, client, addr string, classical bool) (*demo.Outcome, error) {
	allow := fmt.Sprintf("--allow-classical=%t", classical)
	s := exec.Command(filepath.Join(dir, "pq_server"), "--provider", server, "--listen", addr, allow)
	log, err := s.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = s.Process.Signal(syscall.SIGTERM)
		_ = s.Wait()
	}()
	if addr, err = ready(log); err != nil {
		return nil, err
	}
	c := exec.Command(filepath.Join(dir, "pq_client"), "--provider", client, "--connect", addr, "--json", allow)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("client %s with server %s: %w", client, server, err)
	}
	o := new(demo.Outcome)
	return o, json.Unmarshal(out, o)
}

// ready reads a server's log up to the line with its address.
func ready(log io.Reader) (addr string, err error) {
	var before strings.Builder
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if _, after, ok := strings.Cut(lines.Text(), "ready on "); ok {
			addr, _, _ = strings.Cut(after, " ")
			go func() { _, _ = io.Copy(io.Discard, log) }() // a full pipe would block the server
			return addr, nil
		}
		fmt.Fprintln(&before, lines.Text())
	}
	if strings.Contains(before.String(), "address already in use") {
		return "", errInUse
	}
	return "", fmt.Errorf("the server did not start: %s", before.String())
}

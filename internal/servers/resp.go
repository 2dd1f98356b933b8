//go:build unix

package servers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// ask sends one command to a Redis server over a connection of its own and
// returns the reply: an int64, a string, nil, or a slice of those. It is for
// setting up and looking after servers; a test of a client uses the client.
func ask(addr string, command ...string) (any, error) {
	answers, err := converse(addr, command)
	if err != nil {
		return nil, err
	}
	return answers[0], nil
}

// converse sends commands over one connection.
func converse(addr string, commands ...[]string) ([]any, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// Longer than anything that is asked here, so that only a stopped server
	// runs into it.
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	var request []byte
	for _, args := range commands {
		request = fmt.Appendf(request, "*%d\r\n", len(args))
		for _, a := range args {
			request = fmt.Appendf(request, "$%d\r\n%s\r\n", len(a), a)
		}
	}
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	return replies(bufio.NewReader(conn), int64(len(commands)))
}

// reply reads a reply of the Redis protocol, version 2.
func reply(r *bufio.Reader) (any, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 {
		return nil, fmt.Errorf("bad reply %q", line)
	}
	kind, rest := line[0], line[1:len(line)-2]
	switch kind {
	case '+':
		return rest, nil
	case '-':
		return nil, errors.New(rest)
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	switch {
	case err != nil:
		return nil, fmt.Errorf("bad reply %q", line)
	case kind == ':':
		return n, nil
	case n < 0:
		return nil, nil
	case kind == '$':
		text := make([]byte, n+2)
		_, err := io.ReadFull(r, text)
		return string(text[:n]), err
	case kind == '*':
		return replies(r, n)
	}
	return nil, fmt.Errorf("bad reply %q", line)
}

func replies(r *bufio.Reader, n int64) ([]any, error) {
	all := make([]any, n)
	for i := range all {
		var err error
		if all[i], err = reply(r); err != nil {
			return nil, err
		}
	}
	return all, nil
}

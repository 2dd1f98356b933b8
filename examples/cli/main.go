// Cli is a command-line tool whose users sign in once: the session is in a file of
// their own until they sign out.
//
//	go run ./examples/cli serve &
//	go run ./examples/cli sign-in ada    # asks for the password: correct horse
//	go run ./examples/cli whoami
//
// Start with commands.go. See usage below for the exit codes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/updateage/session/client"
)

const usage = `Usage: cli [--server URL] [--json] COMMAND

  sign-in USER       signs in; the password is read from standard input
  whoami             shows who is signed in, and until when
  devices            lists where you are signed in
  revoke ID          signs out the device with this ID
  revoke --others    signs out all other devices
  sign-out           signs out here
  serve              runs a server to try this with, in memory

The server is also taken from SESSION_SERVER; default ` + defaultServer + `.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nobody is signed in.
`

const defaultServer = "http://127.0.0.1:8090"

// Exit codes.
const (
	exitFailed   = 1
	exitUsage    = 2
	exitNobodyIn = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errUsage is an error of the person at the keyboard.
type errUsage string

func (e errUsage) Error() string { return string(e) }

// run runs one command and returns the exit code.
func run(ctx context.Context, args []string, in *os.File, out, errs io.Writer) int {
	t := &tool{in: in, out: out, server: os.Getenv("SESSION_SERVER")}
	command, args, err := t.parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage)
		return 0
	}
	if err == nil {
		err = t.run(ctx, command, args)
	}
	if err == nil {
		return 0
	}
	nobody := errors.Is(err, client.ErrNoSession) && command != "sign-in" // whose 401 is about the password
	t.complain(errs, err, nobody)
	if wrong := errUsage(""); errors.As(err, &wrong) {
		if !t.json {
			fmt.Fprint(errs, "\n", usage)
		}
		return exitUsage
	}
	if nobody {
		return exitNobodyIn
	}
	return exitFailed
}

// parse takes the flags out of the arguments, wherever they stand.
func (t *tool) parse(args []string) (command string, rest []string, err error) {
	flags := flag.NewFlagSet("cli", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&t.server, "server", t.server, "")
	flags.BoolVar(&t.json, "json", false, "")
	flags.BoolVar(&t.others, "others", false, "")
	for {
		if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
			return "", nil, err
		} else if err != nil {
			return "", nil, errUsage(err.Error())
		}
		if flags.NArg() == 0 {
			break
		}
		rest, args = append(rest, flags.Arg(0)), flags.Args()[1:]
	}
	if len(rest) == 0 {
		return "", nil, errUsage("no command")
	}
	return rest[0], rest[1:], nil
}

func (t *tool) run(ctx context.Context, command string, args []string) error {
	c, ok := commands[command]
	if !ok {
		return errUsage(fmt.Sprintf("unknown command %q", command))
	}
	want := c.args
	if command == "revoke" && t.others {
		want = 0
	} else if t.others {
		return errUsage("--others belongs to revoke")
	}
	if len(args) != want {
		return errUsage(fmt.Sprintf("%s takes %d arguments, not %d", command, want, len(args)))
	}
	if command != "serve" {
		if err := t.connect(); err != nil {
			return err
		}
	}
	return c.run(t, ctx, args)
}

// connect makes the client. Its storage is one file for all servers, with a key
// for each: the session of one must not go to another.
func (t *tool) connect() error {
	if t.server == "" {
		t.server = defaultServer
	}
	server, err := url.Parse(t.server)
	if err != nil || server.Host == "" || server.User != nil {
		return errUsage("the server is no URL such as https://example.com")
	}
	// Whoever sits in between could read password and session.
	if host := server.Hostname(); server.Scheme != "https" && host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return errUsage("the server must have https://")
	}
	file, err := client.UserFile("session-example-cli")
	if err != nil {
		return err
	}
	t.api = &client.Client{
		BaseURL: t.server, Storage: file, Key: client.OriginKey(t.server),
		Header: map[string][]string{"User-Agent": {agent()}},
	}
	return nil
}

// agent is what the list of devices shows.
func agent() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("session-example-cli (%s; %s)", clean(host), runtime.GOOS)
}

// complain says what went wrong: a sentence, or with --json an object.
func (t *tool) complain(w io.Writer, err error, nobody bool) {
	said := struct {
		Error   string `json:"error"`
		Status  int    `json:"status,omitempty"`
		Code    string `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	}{Error: err.Error()}
	var answer *client.Error
	if errors.As(err, &answer) {
		said.Status, said.Code, said.Message = answer.Status, answer.Code, answer.Message
	}
	switch {
	case t.json:
		_ = json.NewEncoder(w).Encode(said)
	case nobody:
		fmt.Fprintln(w, "cli: nobody is signed in")
	case said.Code == "SESSION_NOT_FRESH":
		fmt.Fprintln(w, "cli: for this you have to sign in again")
	case said.Message != "":
		fmt.Fprintln(w, "cli:", clean(said.Message))
	default:
		fmt.Fprintln(w, "cli:", clean(strings.TrimPrefix(said.Error, "client: ")))
	}
}

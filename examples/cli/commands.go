package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/updateage/session/client"
	"golang.org/x/term"
)

// tool is one run of the program.
type tool struct {
	in           *os.File
	out          io.Writer
	server       string
	json, others bool
	api          *client.Client
}

// commands are what the tool can do, and how many arguments that takes.
var commands = map[string]struct {
	args int
	run  func(*tool, context.Context, []string) error
}{
	"sign-in":  {1, (*tool).signIn},
	"whoami":   {0, (*tool).whoami},
	"devices":  {0, (*tool).devices},
	"revoke":   {1, (*tool).revoke},
	"sign-out": {0, (*tool).signOut},
	"serve":    {0, (*tool).serve},
}

// signIn reads the password from standard input: on the command line everybody
// could read it in the list of processes, and the shell would remember it.
func (t *tool) signIn(ctx context.Context, args []string) error {
	password, err := t.password()
	if err != nil {
		return fmt.Errorf("read the password: %w", err)
	}
	credentials := map[string]string{"user": args[0], "password": password}
	if err := t.api.SignIn(ctx, "/auth/login", credentials, nil); err != nil {
		return err
	}
	return t.whoami(ctx, nil)
}

func (t *tool) password() (string, error) {
	if fd := int(t.in.Fd()); term.IsTerminal(fd) {
		fmt.Fprint(os.Stderr, "Password: ")
		defer fmt.Fprintln(os.Stderr)
		typed, err := term.ReadPassword(fd)
		return string(typed), err
	}
	line, err := bufio.NewReader(io.LimitReader(t.in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func (t *tool) whoami(ctx context.Context, _ []string) error {
	s, err := t.api.Session(ctx)
	if err != nil {
		return err
	}
	if t.json {
		return t.print(s)
	}
	var user struct{ ID, Name string }
	if err := json.Unmarshal(s.User, &user); err != nil {
		return fmt.Errorf("read the user: %w", err)
	}
	fmt.Fprintf(t.out, "%s (%s) at %s, until %s\n", clean(user.Name), clean(user.ID), t.server, day(s.ExpiresAt))
	return nil
}

func (t *tool) devices(ctx context.Context, _ []string) error {
	list, err := t.api.Sessions(ctx)
	if err != nil {
		return err
	}
	if t.json {
		return t.print(list)
	}
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tDEVICE\tADDRESS\tSIGNED IN\tLAST ACTIVE")
	for _, s := range list {
		device := clean(s.UserAgent)
		if s.Device != "" {
			device = clean(s.Device)
		}
		if s.Current {
			device += " (this one)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", clean(s.ID), device, clean(s.IPAddress), day(s.AuthenticatedAt), day(s.UpdatedAt))
	}
	return table.Flush()
}

func (t *tool) revoke(ctx context.Context, args []string) error {
	n := 1
	var err error
	if t.others {
		n, err = t.api.RevokeOthers(ctx)
	} else {
		err = t.api.Revoke(ctx, args[0])
	}
	if err != nil {
		return err
	}
	if t.json {
		return t.print(map[string]int{"revoked": n})
	}
	fmt.Fprintf(t.out, "Devices signed out: %d\n", n)
	return nil
}

// signOut has forgotten the session even if it returns an error: that says that
// the server was not told.
func (t *tool) signOut(ctx context.Context, _ []string) error {
	if err := t.api.SignOut(ctx); err != nil {
		return fmt.Errorf("you are signed out here, but the server does not know: %w", err)
	}
	if t.json {
		return t.print(map[string]bool{"signedOut": true})
	}
	fmt.Fprintln(t.out, "Signed out.")
	return nil
}

// print prints v as JSON.
func (t *tool) print(v any) error {
	e := json.NewEncoder(t.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// clean leaves what cannot move the cursor or change colours: names of devices
// are what somebody's program said.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

func day(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.Local().Format("2006-01-02 15:04")
}

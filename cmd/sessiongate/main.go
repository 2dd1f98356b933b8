// Sessiongate answers the question that a reverse proxy asks about each request
// before it passes it on: whose is it? It is gateway.ForwardAuth as a program, for
// those whose services are not written in Go.
//
//	sessiongate -redis rediss://redis.internal -login-url https://login.example.com/
//
// Every setting is a flag and an environment variable; -help lists them. The
// application that signs users in shares the Redis server and the settings of
// cookie and lifetimes. docs/sessiongate.md has the rest.
//
// It exits with 0 after SIGTERM or SIGINT, 1 when it could not go on, and 2 when
// its configuration is wrong. SIGHUP reads the key files again.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
)

const (
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)) }

// run is main with everything it gets from outside. It returns the exit code.
func run(args, environ []string, stdout, stderr io.Writer) int {
	// First of all: a SIGHUP that nobody awaits ends the program.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	o, err := parse(args, environ)
	switch {
	case errors.Is(err, errHelp):
		writeHelp(stdout)
		return 0
	case o.version:
		fmt.Fprintf(stdout, "sessiongate %s %s\n", version(), runtime.Version())
		return 0
	}
	a, appErr := newApp(o, stderr) // also after a mistake, to find the others
	if err = errors.Join(err, appErr); err != nil {
		a.close()
		fmt.Fprintf(stderr, "sessiongate: the configuration is wrong:\n%v\nsessiongate -help lists the settings\n", err)
		return exitUsage
	}
	defer a.close()
	return serve(a, hup)
}

// serve runs the servers until a signal ends them. The second signal ends the
// program at once: what the first has begun may hang.
func serve(a *app, hup <-chan os.Signal) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)
	if err := a.run(ctx, hup); err != nil {
		a.log.Error("sessiongate failed", "error", err)
		return exitFailed
	}
	return 0
}

// version is the module's version as "go install" noted it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}

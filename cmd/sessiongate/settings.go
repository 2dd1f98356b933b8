package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

const envPrefix = "SESSIONGATE_"

var errHelp = flag.ErrHelp

// setting is one line of the configuration: a flag and an environment variable.
type setting struct {
	name  string
	value string // what its value looks like; "": it is on or off
	usage string
	set   func(text string) error
	// secret settings have no flag, as everybody can list processes.
	secret bool
	// flagOnly settings have no environment variable.
	flagOnly bool
	// sets, of the same name, is used in place of set if the place matters.
	sets func(text string, fromFlag bool) error
}

func (s setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// title is the setting as the help shows it.
func (s setting) title() string {
	name := "-" + strings.TrimSpace(s.name+" "+s.value)
	switch {
	case s.secret:
		return s.env()
	case s.flagOnly:
		return name
	}
	return name + ", " + s.env()
}

// apply sets the setting. An empty text is a slip, and mostly that of a script
// whose own variable is not set: as good as none, it would open a door by
// taking -level or -binding away.
func (s setting) apply(text string, fromFlag bool) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("is empty: unset it")
	}
	if s.secret && fromFlag {
		return fmt.Errorf("everybody who lists processes would see it: use %s or a file", s.env())
	}
	if s.sets != nil {
		return s.sets(text, fromFlag)
	}
	return s.set(text)
}

// section is a heading in the help.
type section struct {
	title    string
	settings []setting
}

// parse returns the options. The error joins all mistakes, one per line.
func parse(args, environ []string) (*options, error) {
	o := defaults()
	given, errs := parseFlags(o, args)
	if slices.Contains(errs, errHelp) {
		return o, errHelp
	}
	env := settingsIn(environ)
	for s := range o.all() {
		text, found := env[s.env()]
		delete(env, s.env())
		from, flagged := s.env(), given[s.name]
		if flagged.given {
			text, found, from = flagged.text, true, "-"+s.name
		}
		if !found {
			continue
		}
		if err := s.apply(text, flagged.given); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", from, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		errs = append(errs, fmt.Errorf("%s: there is no such setting", name))
	}
	return o, errors.Join(append(errs, o.check()...)...)
}

// given is the value of a flag as it was written. It is judged later, so that one
// mistake does not hide the next.
type given struct {
	text  string
	given bool
	onOff bool
}

func (g *given) String() string   { return g.text }
func (g *given) IsBoolFlag() bool { return g.onOff }
func (g *given) Set(text string) error {
	g.text, g.given = text, true
	return nil
}

// badSyntax begins package flag's error about "-=x" or "---x", which shows the
// argument, and that may be a key: "-----BEGIN". Parse does not go past it, either.
const badSyntax = "bad flag syntax"

func parseFlags(o *options, args []string) (map[string]*given, []error) {
	flags := flag.NewFlagSet("sessiongate", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	values := make(map[string]*given)
	for s := range o.all() {
		values[s.name] = &given{onOff: s.value == ""}
		flags.Var(values[s.name], s.name, s.usage)
	}
	var errs []error
	for all := len(args); ; {
		err := flags.Parse(args)
		args = flags.Args()
		switch {
		case errors.Is(err, flag.ErrHelp):
			return values, []error{errHelp}
		case err != nil && !strings.HasPrefix(err.Error(), badSyntax):
			errs = append(errs, err)
		case len(args) == 0:
			return values, errs
		default:
			// Not shown: it may be a password that follows a misspelt flag.
			errs = append(errs, fmt.Errorf("argument %d belongs to no flag", all-len(args)+1))
			args = args[1:]
		}
	}
}

// foreign is what others set: Kubernetes for every service whose name begins with
// "sessiongate", and container images their version.
var foreign = regexp.MustCompile(`^` + envPrefix + `((\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_\w+)?)|VERSION)$`)

// settingsIn returns the variables that are meant for this program, empty ones
// among them.
func settingsIn(environ []string) map[string]string {
	found := make(map[string]string)
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		if strings.HasPrefix(name, envPrefix) && !foreign.MatchString(name) {
			found[name] = value
		}
	}
	return found
}

// writeHelp lists the settings, never their values.
func writeHelp(w io.Writer) {
	fmt.Fprint(w, `sessiongate answers a reverse proxy's question whether a request may pass.

Each setting is a flag or an environment variable; the flag wins. Lists are
separated by commas. Durations look like 90s, 30m or 168h.
`)
	for _, section := range defaults().sections() {
		fmt.Fprintf(w, "\n%s\n", section.title)
		for _, s := range section.settings {
			fmt.Fprintf(w, "  %s\n        %s\n", s.title(), strings.ReplaceAll(s.usage, "\n", "\n        "))
		}
	}
}

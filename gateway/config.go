package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/updateage/session"
)

// Config configures ForwardAuth and NewProxy. The zero Config lets everybody
// pass who is signed in, signs nothing and redirects nobody.
type Config struct {
	// Signer signs the assertions for the services. nil: there are none, and
	// services have to trust the network.
	Signer *Signer
	// Audience is whom the assertions are for: the service, or a group of
	// services that trust each other. Each of them could use an assertion it was
	// sent at the others. Needed with Signer.
	Audience string

	// Level is the least assurance level of the authentication. 0: any.
	Level session.Level
	// Fresh demands an authentication within session.Config.FreshAge.
	Fresh bool

	// LoginURL is where browsers go to sign in: an http(s) URL, or a path on the
	// site itself. "": nowhere, they get 401 like everybody else.
	LoginURL string
	// ReturnParam is the query parameter of LoginURL that says where the user
	// wanted to go. "": "return_to".
	ReturnParam string
	// Origins are the sites behind the gateway, such as
	// "https://app.example.com". Return URLs lead there and nowhere else, so
	// that nobody can make the sign-in page send users to a site of his
	// (CWE-601). NewProxy lets WebSockets be opened from there, too. Empty: the
	// sign-in page is not told where the user wanted to go.
	Origins []string

	// StatusOnly is for ForwardAuth with nginx, whose auth_request knows 401 and
	// 403 only: browsers get 401 instead of 302, with the same Location.
	StatusOnly bool
	// MaxReuse is for how long ForwardAuth lets the proxy reuse a verdict, in
	// whole seconds: HeaderReuse never says more. A session that ends may go on
	// for so long. It is for caches whose key has all of the headers in Vary, and
	// not for session.Config.Binding, with which a verdict is the client's, too.
	// 0: not at all.
	MaxReuse time.Duration
	// Transport is how NewProxy reaches the service. nil: http.DefaultTransport.
	Transport http.RoundTripper
}

const defaultReturnParam = "return_to"

func (c Config) withDefaults() Config {
	if c.ReturnParam == "" {
		c.ReturnParam = defaultReturnParam
	}
	c.Origins = slices.Clone(c.Origins)
	return c
}

// validate returns every mistake, joined. only is what the other of ForwardAuth
// and NewProxy would not heed.
func (c Config) validate(only ...mistake) error {
	errs := check(append([]mistake{
		{(c.Signer == nil) != (c.Audience == ""), "Signer and Audience need each other"},
		{c.Level > session.AAL3, fmt.Sprintf("Level %d is unknown", c.Level)},
		{c.MaxReuse < 0 || c.MaxReuse%time.Second != 0, "MaxReuse is not a number of whole seconds"},
	}, only...)...)
	return errors.Join(errs...)
}

// mistake is a rule of a configuration and whether it is broken.
type mistake struct {
	made bool
	text string
}

func check(mistakes ...mistake) (errs []error) {
	for _, m := range mistakes {
		if m.made {
			errs = append(errs, errors.New("gateway: "+m.text))
		}
	}
	return errs
}

// parseOrigins returns the origins as RFC 6454 writes them: in lower case and
// without the scheme's own port.
func parseOrigins(list []string) ([]string, error) {
	var origins []string
	var errs []error
	for _, text := range list {
		origin, err := parseOrigin(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("gateway: Origins: %w", err))
		}
		origins = append(origins, origin)
	}
	return origins, errors.Join(errs...)
}

func parseOrigin(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", err
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q is not an origin such as https://app.example.com", u.Redacted())
	}
	return u.Scheme + "://" + normalHost(u.Scheme, u.Host), nil
}

func normalHost(scheme, host string) string {
	host = strings.ToLower(host)
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

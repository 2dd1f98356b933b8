package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// login sends browsers to the sign-in page, and tells it where the user wanted
// to go. That is one of the configured origins with a path: a host that a header
// names only chooses among them.
type login struct {
	url     *url.URL
	param   string
	origins map[string]string // by host; of two the first
}

// maxReturn bounds what is carried along to the sign-in page.
const maxReturn = 2048

// newLogin returns nil if there is no sign-in page.
func newLogin(c Config, origins []string) (*login, error) {
	if c.LoginURL == "" {
		return nil, nil
	}
	u, err := parseLoginURL(c.LoginURL)
	if err != nil {
		return nil, err
	}
	l := &login{url: u, param: c.ReturnParam, origins: make(map[string]string)}
	for _, origin := range origins {
		_, host, _ := strings.Cut(origin, "://")
		if _, taken := l.origins[host]; !taken {
			l.origins[host] = origin
		}
	}
	return l, nil
}

func parseLoginURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("gateway: LoginURL: %w", err)
	}
	site := (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
	path := u.Scheme == "" && u.Host == "" && strings.HasPrefix(text, "/") && !strings.ContainsRune(text, '\\')
	if !site && !path || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("gateway: LoginURL %q is neither an http(s) URL nor a path", u.Redacted())
	}
	return u, nil
}

// location returns where to sign in, for a user who wanted to go to uri at host.
func (l *login) location(host, uri string) string {
	back, ok := l.returnURL(host, uri)
	if !ok {
		return l.url.String()
	}
	u := *l.url
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += url.QueryEscape(l.param) + "=" + url.QueryEscape(back)
	return u.String()
}

// returnURL fails closed: what is not beyond doubt is left out, and the user
// lands on the sign-in page's own choice.
func (l *login) returnURL(host, uri string) (string, bool) {
	origin := l.origin(host)
	if origin == "" || len(uri) > maxReturn || !strings.HasPrefix(uri, "/") || !visible(uri) {
		return "", false
	}
	u, err := url.Parse(origin + uri)
	if err != nil || u.Scheme+"://"+u.Host != origin || u.User != nil {
		return "", false
	}
	return origin + uri, true
}

// origin returns the configured origin of a host, or "".
func (l *login) origin(host string) string {
	host = strings.ToLower(host)
	for _, port := range [...]string{"", ":443", ":80"} {
		if bare, ok := strings.CutSuffix(host, port); ok {
			// https://host:80 is no origin of https://host.
			if o := l.origins[bare]; o != "" && (port == "" || strings.HasPrefix(o, "https:") == (port == ":443")) {
				return o
			}
		}
	}
	return ""
}

// visible says whether a URI has visible ASCII only, as every client sends it,
// and no backslash, which browsers take for a slash.
func visible(uri string) bool {
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return false
		}
	}
	return true
}

// navigates says whether a browser is waiting for a page, as opposed to a script
// that could do nothing with a sign-in page. It chooses the form of a refusal,
// never whether there is one.
func navigates(h http.Header) bool {
	if mode := h.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(h.Get("Accept"), "text/html")
}

// only returns the value of a header that there is once and that is no list,
// else "".
func only(h http.Header, name string) string {
	if value := single(h, name); !strings.ContainsRune(value, ',') {
		return value
	}
	return ""
}

// single returns the value of a header that there is once, else "". It may have
// commas, as a URI may.
func single(h http.Header, name string) string {
	if values := h[name]; len(values) == 1 {
		return values[0]
	}
	return ""
}

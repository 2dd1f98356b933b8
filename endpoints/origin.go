package endpoints

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// origins says which origins may use unsafe methods: the handler's own, and the
// trusted ones.
type origins struct {
	protection *http.CrossOriginProtection
	trusted    map[string]bool
}

func newOrigins(trusted []string) (*origins, error) {
	o := &origins{http.NewCrossOriginProtection(), make(map[string]bool)}
	var errs []error
	for _, origin := range trusted {
		if err := o.protection.AddTrustedOrigin(origin); err != nil {
			errs = append(errs, fmt.Errorf("endpoints: TrustedOrigins: %w", err))
		}
		o.trusted[origin] = true
	}
	return o, errors.Join(errs...)
}

// refuse is the check of the native and the Flowfull contract: that of
// http.CrossOriginProtection.
func (o *origins) refuse(r *http.Request) *problem {
	if o.protection.Check(r) != nil {
		return errCrossOrigin
	}
	return nil
}

// refuseBetterAuth adds that of the Better Auth server, in its words: a request
// with cookies must say where it comes from, in Origin or Referer.
func (o *origins) refuseBetterAuth(r *http.Request) *problem {
	if safe(r.Method) {
		return nil
	}
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	if origin == "" {
		origin = refererOrigin(r)
	}
	cookies := r.Header["Cookie"] != nil
	switch {
	case cookies && origin == "":
		return errMissingOrigin
	case origin == "null" && site == "same-origin":
		return nil // a page with Referrer-Policy: no-referrer; browsers vouch for Sec-Fetch-Site
	case origin == "null":
		return errMissingOrigin
	case cookies && site != "same-origin" && !o.trusts(origin, r.Host), o.protection.Check(r) != nil:
		return errInvalidOrigin
	}
	return nil
}

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// trusts says whether an origin is the handler's own or a trusted one. Its own
// is told by the host alone: behind a proxy nobody knows the scheme, and http on
// the same host is what HSTS is for.
func (o *origins) trusts(origin, host string) bool {
	if o.trusted[origin] {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && u.Host == host
}

// refererOrigin returns the origin in the Referer header, or "".
func refererOrigin(r *http.Request) string {
	u, err := url.Parse(r.Header.Get("Referer"))
	if err != nil || u.Scheme == "" || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// carriesCookie says whether the request has a cookie of that name, whatever is
// in it. It reads names as the session middleware does: a cookie which only one
// of the two sees would be a way around the other.
func carriesCookie(r *http.Request, cookie string) bool {
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			if name, _, _ := strings.Cut(strings.Trim(pair, " \t"), "="); name == cookie {
				return true
			}
		}
	}
	return false
}

// sendsToken says whether the request has a header in which tokens come. Browsers
// add neither by themselves, as they do a password (Authorization: Basic).
func sendsToken(r *http.Request) bool {
	for _, value := range r.Header["Authorization"] {
		if scheme, _, _ := strings.Cut(value, " "); strings.EqualFold(scheme, "Bearer") {
			return true
		}
	}
	return r.Header["X-Session-Id"] != nil
}

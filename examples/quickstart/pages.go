package main

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/updateage/session"
)

var (
	//go:embed pages style.css
	files embed.FS

	pages = template.Must(template.New("").Funcs(template.FuncMap{"device": device, "words": words}).ParseFS(files, "pages/*.html"))

	// notices are for visitors who have no session to keep a message in.
	notices = map[string]string{
		"sign-in":    "Please sign in.",
		"signed-out": "You are signed out.",
	}
)

// page is what the templates show.
type page struct {
	Title, Flash    string
	User            named
	Cart            Cart
	Products, Users []named
	Devices         []session.Info
	Session         session.Info // this one
	Config          session.Config

	now time.Time
}

// render shows a page. It writes nothing before the message has been taken from
// the session: values cannot change once the response has begun.
func (a *app) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) error {
	s := session.FromContext(r.Context())
	p.now, p.Session, p.Config = time.Now(), s.Info(), a.sessions.Config()
	p.User, _ = find(users, s.UserID())
	p.Cart, _ = cart.Get(s)
	p.Flash = notices[r.FormValue("notice")]
	if message, ok := flash.Take(s); ok {
		p.Flash = message
	}

	var b bytes.Buffer // so that a broken template is an error, and no half page
	if err := pages.ExecuteTemplate(&b, name, p); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // it fails if the browser has gone
	return nil
}

// moment is a time as a page shows it.
type moment struct {
	time.Time
	now time.Time
}

// At is for templates, as Ago and In are.
func (p page) At(t time.Time) moment { return moment{t, p.now} }

// Ago returns how long ago the moment was.
func (m moment) Ago() time.Duration { return max(m.now.Sub(m.Time), 0).Truncate(time.Second) }

// In returns how far off the moment is.
func (m moment) In() time.Duration { return max(m.Sub(m.now), 0).Round(time.Second) }

// words writes a duration as people do: 15 s, 10 min, 1 min 5 s.
func words(d time.Duration) string {
	s := strings.NewReplacer("h", " h ", "m", " min ", "s", " s").Replace(d.String())
	return strings.TrimSpace(strings.ReplaceAll(s, " min 0 s", " min"))
}

// What occurs first counts: Edge and Chrome say Safari as well, Android says
// Linux, and an iPhone says Mac OS X.
var (
	browsers = []named{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"},
	}
	systems = []named{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"},
		{"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	}
)

// device names a browser as its user would. The header is what the client says:
// good for recognising one's own devices, and for nothing else.
func device(userAgent string) string {
	browser, system := first(browsers, userAgent), first(systems, userAgent)
	switch {
	case browser == "":
		return "Unknown device"
	case system == "":
		return browser
	}
	return browser + " on " + system
}

func first(names []named, userAgent string) string {
	for _, n := range names {
		if strings.Contains(userAgent, n.ID) {
			return n.Name
		}
	}
	return ""
}

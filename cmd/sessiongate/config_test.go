package main_test

import (
	"bytes"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

func TestHelpNamesEverySettingAndNoValue(t *testing.T) {
	env := []string{"SESSIONGATE_REDIS_PASSWORD=hunter2", "SESSIONGATE_REDIS=redis://:hunter2@127.0.0.1:1", "SESSIONGATE_ISSUER=hunter2"}
	out, errs, code := output(t, env, "-help")
	if code != 0 || errs != "" {
		t.Errorf("exit code %d, %q", code, errs)
	}
	if strings.Contains(out, "hunter2") {
		t.Errorf("help shows values:\n%s", out)
	}
	for _, name := range []string{"listen", "admin-listen", "redis", "redis-mode", "redis-password-file", "expires-in", "update-age", "login-url", "signing-keys"} {
		variable := "SESSIONGATE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		if !regexp.MustCompile(`(?m)^  -` + name + ` .*, ` + variable + `$`).MatchString(out) {
			t.Errorf("help has no line with -%s and %s", name, variable)
		}
	}
	if !strings.Contains(out, "\n  SESSIONGATE_REDIS_PASSWORD\n") || strings.Contains(out, "-redis-password ") {
		t.Error("help offers a flag for a password")
	}
}

func TestVersion(t *testing.T) {
	out, _, code := output(t, []string{"SESSIONGATE_LEVEL=high"}, "-version")
	build, err := exec.Command("go", "version", "-m", binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	noted := regexp.MustCompile(`mod\s+github.com/updateage/session/cmd/sessiongate\s+(\S+)`).FindSubmatch(build)
	if noted == nil {
		t.Fatalf("no version in\n%s", build)
	}
	if want := "sessiongate " + string(noted[1]) + " " + runtime.Version() + "\n"; out != want || code != 0 {
		t.Errorf("says %q with exit code %d, want %q", out, code, want)
	}
}

// TestMistakes shows what a wrong configuration is answered with: all that is
// wrong, and nothing secret.
func TestMistakes(t *testing.T) {
	key, _ := newKey(t)
	good := file(t, key)
	leaked := "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"
	memory := []string{"-store", "memory"}
	for _, row := range []struct {
		name string
		env  []string
		args []string
		want []string
	}{
		{"nothing is set", nil, nil, []string{"-redis is missing"}},
		{"a flag that is none", nil, []string{"-store=memory", "-levle=2"}, []string{"not defined: -levle"}},
		{"a variable that is none", []string{"SESSIONGATE_FRESHH=true"}, memory, []string{"SESSIONGATE_FRESHH: there is no such setting"}},
		{"an argument without a flag", nil, []string{"-store=memory", "hunter2"}, []string{"argument 2 belongs to no flag"}},
		{"a password behind a misspelt flag", nil, []string{"-store=memory", "-redis-pasword", "hunter2"}, []string{"not defined: -redis-pasword", "argument 3 belongs to no flag"}},
		{"a flag without its value", nil, []string{"-store=memory", "-level"}, []string{"flag needs an argument: -level"}},
		{"a password as flag", nil, []string{"-redis=127.0.0.1:1", "-redis-password", "hunter2"}, []string{"-redis-password: everybody who lists processes"}},
		{"a password in a URL as flag", nil, []string{"-redis=redis://:hunter2@127.0.0.1:1"}, []string{"-redis: has a password"}},
		{"the same in the query", nil, []string{"-redis-mode=sentinel", "-redis=redis://127.0.0.1:1?master_name=m&password=hunter2"}, []string{"-redis: has a password"}},
		{"a URL that is none, with a password", []string{"SESSIONGATE_REDIS=redis://:hunter2%@127.0.0.1:1"}, nil, []string{"SESSIONGATE_REDIS: is not a URL"}},
		{"a password that splits the URL", []string{"SESSIONGATE_REDIS=redis://:x/hunter2@127.0.0.1:1"}, nil, []string{"SESSIONGATE_REDIS: is not a URL"}},
		{"a URL of something else, with a password", []string{"SESSIONGATE_REDIS=hunter2://:hunter2@127.0.0.1:1"}, nil, []string{"-redis: is not a URL"}},
		{"an unknown option of the client", nil, []string{"-redis=redis://127.0.0.1:1?hunter=2"}, []string{"-redis: redis: unexpected option: hunter"}},
		{"two addresses of one server", nil, []string{"-redis=127.0.0.1:1,127.0.0.1:2"}, []string{"-redis: redis: unexpected option: addr"}},
		{"two passwords", []string{"SESSIONGATE_REDIS_PASSWORD=hunter2"}, []string{"-redis=127.0.0.1:1", "-redis-password-file=" + good}, []string{"has the password as well"}},
		{"a password file that is empty", nil, []string{"-redis=127.0.0.1:1", "-redis-password-file=" + file(t, "\n")}, []string{"-redis-password-file: the file is empty"}},
		{"a password in place of its file", []string{"SESSIONGATE_REDIS_PASSWORD_FILE=hunter2"}, []string{"-redis=127.0.0.1:1"}, []string{"-redis-password-file: no such file"}},
		{"the same of Sentinels", []string{"SESSIONGATE_REDIS_SENTINEL_PASSWORD_FILE=hunter2"}, []string{"-redis=127.0.0.1:1", "-redis-mode=sentinel", "-redis-master=m"}, []string{"-redis-sentinel-password-file: no such file"}},
		{"Sentinels without a master's name", nil, []string{"-redis=127.0.0.1:1", "-redis-mode=sentinel"}, []string{"-redis-master is missing"}},
		{"a master's name without Sentinels", nil, []string{"-redis=127.0.0.1:1", "-redis-master=m"}, []string{"-redis-mode sentinel"}},
		{"reading from replicas of a cluster", nil, []string{"-redis-mode=cluster", "-redis=redis://127.0.0.1:1?read_only=true"}, []string{"replicas"}},
		{"reading from replicas with Sentinel", nil, []string{"-redis-mode=sentinel", "-redis=redis://127.0.0.1:1?master_name=m&replica_only=true"}, []string{"replicas"}},
		{"Redis beside memory", nil, append(memory, "-redis=127.0.0.1:1"), []string{"-store memory uses no Redis"}},
		{"a trial with Redis", nil, []string{"-redis=127.0.0.1:1", "-trial-user=ada"}, []string{"-trial-user goes with -store memory"}},
		{"a trial for the network", nil, append(memory, "-trial-user=ada", "-admin-listen=0.0.0.0:0"), []string{"-trial-user goes with an -admin-listen on a loopback address"}},
		{"zero that would be the default", nil, append(memory, "-update-age=0s"), []string{`-update-age: "0s" is no time at all`}},
		{"a duration in days", nil, append(memory, "-expires-in=7d"), []string{`-expires-in: "7d" is not a duration`}},
		{"lifetimes that contradict", nil, append(memory, "-expires-in=1h", "-update-age=2h"), []string{"UpdateAge is longer than ExpiresIn"}},
		{"a level that is none", []string{"SESSIONGATE_LEVEL=4"}, memory, []string{`SESSIONGATE_LEVEL: "4" is none of`}},
		{"a return to a path", nil, append(memory, "-login-url=https://l.example", "-origins=https://app.example.com/x"), []string{"Origins", "is not an origin"}},
		{"a sign-in page that runs script", nil, append(memory, "-login-url=javascript:alert(1)"), []string{"LoginURL"}},
		{"a network that is none", nil, append(memory, "-trusted-proxies=10.0.0.0/8,proxy"), []string{`-trusted-proxies: "proxy"`}},
		{"a level from a variable that is not set", []string{"SESSIONGATE_LEVEL="}, memory, []string{"SESSIONGATE_LEVEL: is empty: unset it"}},
		{"freshness from such a one", []string{"SESSIONGATE_FRESH= "}, memory, []string{"SESSIONGATE_FRESH: is empty"}},
		{"a password from such a one", []string{"SESSIONGATE_REDIS_PASSWORD="}, []string{"-redis=127.0.0.1:1"}, []string{"SESSIONGATE_REDIS_PASSWORD: is empty"}},
		{"everything from such ones", []string{"SESSIONGATE_NOT_BEFORE=", "SESSIONGATE_BINDING=", "SESSIONGATE_SIGNING_KEYS="}, append(memory, "-redis=", "-level="),
			[]string{"SESSIONGATE_NOT_BEFORE: is empty", "SESSIONGATE_BINDING: is empty", "SESSIONGATE_SIGNING_KEYS: is empty", "-redis: is empty", "-level: is empty"}},
		{"a binding to nothing", nil, append(memory, "-binding=,"), []string{"-binding: is a list with an empty part"}},
		{"a binding half of which is missing", nil, append(memory, "-binding=user-agent,"), []string{"-binding: is a list with an empty part"}},
		{"a server that is none", nil, []string{"-redis=,"}, []string{"-redis: is a list with an empty part"}},
		{"a network less than was meant", nil, append(memory, "-trusted-proxies=,10.0.0.0/8"), []string{"-trusted-proxies: is a list with an empty part"}},
		{"a binding to the proxy's address", nil, append(memory, "-binding=device,ip", "-revoke-on-mismatch"), []string{"-binding ip needs -trusted-proxies"}},
		{"a level below all", nil, append(memory, "-level=0"), []string{`-level: "0" is none of 1, 2, 3`}},
		{"a binding that is none", nil, append(memory, "-binding=ip,face"), []string{`-binding: "face"`}},
		{"a key for nobody", nil, append(memory, "-signing-keys="+good), []string{"-signing-keys, -issuer and -audience need each other"}},
		{"an audience without a key", nil, append(memory, "-audience=x"), []string{"need each other"}},
		{"a key file that is away", nil, append(memory, signing(good+",/nonexistent/hunter2")...), []string{"-signing-keys: file 2: no such file"}},
		{"a key in place of its file", nil, append(memory, signing(leaked)...), []string{"-signing-keys: file 1: is not the name of a file"}},
		{"the same in the environment", []string{"SESSIONGATE_SIGNING_KEYS=" + leaked}, append(memory, "-issuer=x", "-audience=x"), []string{"-signing-keys: file 1: is not the name of a file"}},
		{"a key in place of its file, in one line", nil, append(memory, signing(strings.ReplaceAll(leaked, "\n", " "))...), []string{"-signing-keys: file 1: is not the name of a file"}},
		{"a key in place of a flag", nil, append(memory, leaked), []string{"argument 3 belongs to no flag"}},
		{"a flag without a name", nil, append(memory, "-=hunter2"), []string{"argument 3 belongs to no flag"}},
		{"a key that is damaged", nil, append(memory, signing(file(t, key+strings.Replace(key, "MC4", "M*4", 1)))...), []string{"has no key, or a damaged one"}},
		{"a key of another kind", nil, append(memory, signing(file(t, "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"))...), []string{"parse key"}},
		{"one key twice", nil, append(memory, signing(good+","+good)...), []string{"-signing-keys: a key is there twice"}},
		{"a cookie key that is short", nil, append(memory, "-cookie-keys-file="+file(t, "aHVudGVyMg==")), []string{"Cookie"}},
		{"a cookie key in place of its file", []string{"SESSIONGATE_COOKIE_KEYS_FILE=aHVudGVyMg=="}, memory, []string{"-cookie-keys-file: no such file"}},
		{"cookie keys in place of their file", []string{"SESSIONGATE_COOKIE_KEYS_FILE=aHVudGVyMg==\naHVudGVyMg==\n"}, memory, []string{"-cookie-keys-file: is not the name of a file"}},
		{"a cookie key that is none", nil, append(memory, "-cookie-keys-file="+file(t, "hunter2!")), []string{"line 1 is not base64"}},
		{"an address that is none", nil, append(memory, "-listen=9100"), []string{`-listen: "9100" is not a host:port`}},
		{"much at once", []string{"SESSIONGATE_FRESH=maybe", "SESSIONGATE_NOPE=1"},
			[]string{"-store=disk", "-x", "-level=9", "-redis=127.0.0.1:1", "-cookie-name=__Host-a", "-cookie-domain=example.com", "-audience=x", "-login-url=ftp://x"},
			[]string{"-x", "-level", "SESSIONGATE_FRESH", "SESSIONGATE_NOPE", "-store", "__Host- forbids Domain", "need each other", "LoginURL"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			out, errs, code := output(t, row.env, row.args...)
			if code != 2 || out != "" {
				t.Errorf("exit code %d, want 2; says %q", code, out)
			}
			for _, text := range row.want {
				if !strings.Contains(errs, text) {
					t.Errorf("%q is missing in\n%s", text, errs)
				}
			}
			if strings.Contains(errs, "hunter2") || strings.Contains(errs, "aHVudGVyMg") {
				t.Errorf("shows a secret:\n%s", errs)
			}
		})
	}
}

func TestAnAddressThatIsTakenIsNoMistake(t *testing.T) {
	g := start(t, nil, "-store", "memory")
	out, errs, code := output(t, nil, "-store", "memory", "-listen", g.addr, "-admin-listen", "127.0.0.1:0")
	if code != 1 || out != "" || !strings.Contains(errs, "address already in use") {
		t.Errorf("exit code %d, %q", code, errs)
	}
}

func TestFlagWinsOverEnvironment(t *testing.T) {
	g := start(t, []string{
		"SESSIONGATE_STORE=redis", "SESSIONGATE_TRIAL_USER=grace", "SESSIONGATE_COOKIE_INSECURE=true",
		"SESSIONGATE_VERSION=1.2.3", "SESSIONGATE_PORT=tcp://10.0.0.1:9100", "SESSIONGATE_REDIS_SERVICE_HOST=10.0.0.2",
	}, "-store", "memory", "-trial-user", "ada")
	a := ask(t, "POST", "http://"+g.admin+"/trial/sign-in")
	want(t, a, 200)
	cookie := cookieOf(t, a.Response)
	if !strings.HasPrefix(cookie, "session=") {
		t.Errorf("cookie %s is not that of the environment's setting", cookie[:8])
	}
	wantHeader(t, g.auth(cookie), "X-User-Id", "ada")
}

// TestWarnings: what is fit for some places only is said at the start.
func TestWarnings(t *testing.T) {
	for _, row := range []struct{ name, flag, warning string }{
		{"a cookie over plain HTTP", "-cookie-insecure", "the cookie is also sent over plain HTTP"},
		{"a user for everybody", "-trial-user=ada", "whoever reaches the admin address can sign in"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if log := start(t, nil, "-store=memory", row.flag).logged(); !strings.Contains(log, row.warning) {
				t.Errorf("log does not say %q:\n%s", row.warning, log)
			}
			if log := start(t, nil, "-store=memory").logged(); strings.Contains(log, row.warning) {
				t.Errorf("log says %q without it:\n%s", row.warning, log)
			}
		})
	}
}

func TestLogFormats(t *testing.T) {
	g := start(t, nil, "-store", "memory")
	if !bytes.HasPrefix([]byte(g.logged()), []byte(`{"time":"`)) {
		t.Errorf("log is not JSON:\n%s", g.logged())
	}
	_, errs, _ := output(t, nil, "-store", "memory", "-log-format", "text", "-listen", g.addr, "-admin-listen", "127.0.0.1:0")
	if !strings.HasPrefix(errs, "time=") {
		t.Errorf("log is not text:\n%s", errs)
	}
}

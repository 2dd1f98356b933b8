//go:build unix

package servers

import "testing"

// StartNginx starts nginx and stops it at the end of the test. site returns what
// belongs into the http block, for the address to listen on.
func StartNginx(tb testing.TB, site func(addr string) string) *Proxy {
	tb.Helper()
	return startProxy(tb, program{
		path: daemon(tb, "nginx"),
		args: []string{"-p", ".", "-e", "stderr", "-c", "nginx.conf"},
		files: func(addr string) map[string]string {
			return map[string]string{"nginx.conf": nginxMain, "site.conf": site(addr)}
		},
	})
}

// nginxMain is what the Debian package has in /etc/nginx/nginx.conf, for a single
// process that dies with its test and writes to its own directory only.
const nginxMain = `daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include site.conf;
}
`

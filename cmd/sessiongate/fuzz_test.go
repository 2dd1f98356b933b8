package main

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

// These look at single functions, whose errors a log shows.

const secretText = "hunter2-Correct-Horse"

func FuzzMistakesInURLsShowNoPassword(f *testing.F) {
	for _, mode := range []string{"single", "sentinel", "cluster"} {
		f.Add(mode, "redis", "default", "", "127.0.0.1:6379/0?pool_size=2")
		f.Add(mode, "rediss", "", "/", "host/x")
		f.Add(mode, "redis", "#", "?", "host?read_timeout=x&master_name=m")
		f.Add(mode, "http%", "u", "%zz", "[::1")
	}
	f.Fuzz(func(t *testing.T, mode, scheme, user, more, rest string) {
		url := scheme + "://" + user + ":" + secretText + more + "@" + rest
		for _, args := range [][]string{{"-redis-mode", mode}, {"-redis-mode", mode, "-redis", url}} {
			o, err := parse(args, []string{"SESSIONGATE_REDIS=" + url})
			if o.redis.url != "" {
				client, clientErr := o.redis.client()
				if clientErr == nil {
					_ = client.Close()
				}
				err = errors.Join(err, clientErr)
			}
			if err != nil && strings.Contains(err.Error(), secretText) {
				t.Errorf("%q: %v", url, err)
			}
		}
	})
}

func FuzzKeyFilesAreReadWholeOrNotAtAll(f *testing.F) {
	f.Add("# keys\n" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))) + "\r\n\n")
	f.Add(secretText)
	f.Add("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n")
	f.Add("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n-----BEGIN PRIVATE KEY-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseSigningKeys([]byte(text))
		if (err == nil) != (len(keys) > 0) || len(keys) > 0 && len(keys) != strings.Count(text, "-----BEGIN") {
			t.Errorf("%d signing keys of %q, %v", len(keys), text, err)
		}
		for _, k := range keys {
			if k.ID() == "" {
				t.Errorf("%q: a key has no ID", text)
			}
		}
		lines := 0
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				lines++
			}
		}
		cookies, err := parseCookieKeys(text)
		if (err == nil) != (len(cookies) > 0) || err == nil && len(cookies) != lines {
			t.Errorf("%d cookie keys of %q, %v", len(cookies), text, err)
		}
	})
}

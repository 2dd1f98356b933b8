package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/redisstore"
)

// redisOptions say where Redis is. The URL may have a password in it.
type redisOptions struct {
	tried                               bool // a URL was given, be it good or not
	url, mode, master, prefix, username string
	timeout                             time.Duration
	password, passwordFile              string
	sentinelPassword                    string
	sentinelPasswordFile                string
}

func (r *redisOptions) given() bool {
	return r.url != "" || r.master != "" || r.username != "" ||
		r.password+r.passwordFile+r.sentinelPassword+r.sentinelPasswordFile != ""
}

// setURL takes a URL, or addresses, of which it makes one. What is wrong with a
// URL is not repeated if a password may be in it.
func (r *redisOptions) setURL(text string, fromFlag bool) error {
	r.tried = true
	if !strings.Contains(text, "://") {
		addresses, err := split(text)
		if err != nil {
			return err
		}
		text = addressURL(addresses)
	}
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("is not a URL such as redis://host:6379/0")
	}
	_, secret := u.User.Password()
	if fromFlag && (secret || u.Query().Has("password")) {
		return errors.New("has a password, which everybody who lists processes would see: use -redis-password-file")
	}
	r.url = text
	return nil
}

func addressURL(addresses []string) string {
	u := url.URL{Scheme: "redis", Host: addresses[0], RawQuery: url.Values{"addr": addresses[1:]}.Encode()}
	return u.String()
}

// newRedis returns the store and the client to close. A server that is away is no
// error.
func newRedis(r redisOptions, log *slog.Logger) (session.Store, redis.UniversalClient, error) {
	redis.SetLogger(redisLog{log})
	client, err := r.client()
	if err != nil {
		return nil, nil, err
	}
	store, err := redisstore.New(client, &redisstore.Options{KeyPrefix: r.prefix, Timeout: r.timeout, Logger: log})
	if err != nil {
		_ = client.Close() // it has done nothing yet
		return nil, nil, err
	}
	return store, client, nil
}

func (r redisOptions) client() (redis.UniversalClient, error) {
	password, err := secret(r.password, r.passwordFile)
	if err != nil {
		return nil, fmt.Errorf("-redis-password-file: %w", err)
	}
	sentinelPassword, err := secret(r.sentinelPassword, r.sentinelPasswordFile)
	if err != nil {
		return nil, fmt.Errorf("-redis-sentinel-password-file: %w", err)
	}
	if r.mode != "sentinel" && (sentinelPassword != "" || r.master != "") {
		return nil, errors.New("-redis-master and the password of Sentinels go with -redis-mode sentinel")
	}
	switch r.mode {
	case "cluster":
		o, err := redis.ParseClusterURL(r.url)
		if err != nil {
			return nil, r.wrong(err)
		}
		o.Username, o.Password = cmp.Or(r.username, o.Username), cmp.Or(password, o.Password)
		o.ContextTimeoutEnabled = true
		return redis.NewClusterClient(o), nil
	case "sentinel":
		o, err := redis.ParseFailoverURL(r.url)
		if err != nil {
			return nil, r.wrong(err)
		}
		o.Username, o.Password = cmp.Or(r.username, o.Username), cmp.Or(password, o.Password)
		o.SentinelPassword = cmp.Or(sentinelPassword, o.SentinelPassword)
		o.MasterName = cmp.Or(r.master, o.MasterName)
		if o.MasterName == "" {
			return nil, errors.New("-redis-master is missing")
		}
		if o.RouteByLatency || o.RouteRandomly || o.ReplicaOnly {
			// NewFailoverClient hides it from redisstore.
			return nil, errors.New("-redis: replicas may not know yet that a session is revoked")
		}
		o.ContextTimeoutEnabled = true
		return redis.NewFailoverClient(o), nil
	}
	o, err := redis.ParseURL(r.url)
	if err != nil {
		return nil, r.wrong(err)
	}
	o.Username, o.Password = cmp.Or(r.username, o.Username), cmp.Or(password, o.Password)
	o.ContextTimeoutEnabled = true
	return redis.NewClient(o), nil
}

// wrong says what is wrong with the URL, unless that could show a password.
func (r redisOptions) wrong(err error) error {
	if strings.ContainsAny(r.url, "@") || strings.Contains(r.url, "password") {
		return fmt.Errorf("-redis: is not a URL for %s Redis (its text is not shown: it may have a password)", r.mode)
	}
	return fmt.Errorf("-redis: %w", err)
}

// secret returns a secret that is given, or in a file, but not both.
func secret(given, file string) (string, error) {
	if file == "" {
		return given, nil
	}
	if given != "" {
		return "", errors.New("the environment has the password as well")
	}
	text, err := readSecret(file)
	if err != nil {
		return "", err
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", errors.New("the file is empty")
	}
	return password, nil
}

// redisLog gives the log of go-redis the form of ours.
type redisLog struct{ *slog.Logger }

// Printf logs what go-redis has to say, mostly about connections.
func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.WarnContext(ctx, "redis client", "message", fmt.Sprintf(format, v...))
}

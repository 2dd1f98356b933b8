package main

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/updateage/session/gateway"
)

// readSigningKeys returns the keys in PEM files, of which each may have several.
// The errors name files and contain nothing of the keys.
func readSigningKeys(files []string) ([]gateway.Key, error) {
	var keys []gateway.Key
	var errs []error
	for _, file := range files {
		more, err := readSigningKey(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("-signing-keys: %s: %w", file, err))
		}
		keys = append(keys, more...)
	}
	if twice(keys) {
		errs = append(errs, errors.New("-signing-keys: a key is there twice"))
	}
	return keys, errors.Join(errs...)
}

// twice says whether two keys have one ID, which services would refuse to choose
// between.
func twice(keys []gateway.Key) bool {
	seen := make(map[string]bool)
	for _, k := range keys {
		if seen[k.ID()] {
			return true
		}
		seen[k.ID()] = true
	}
	return false
}

func readSigningKey(file string) ([]gateway.Key, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, errors.Unwrap(err) // without the name, which the caller has
	}
	return parseSigningKeys(text)
}

func parseSigningKeys(text []byte) (keys []gateway.Key, err error) {
	// pem.Decode passes over what is damaged, and a key would be missing.
	want := bytes.Count(text, []byte("-----BEGIN"))
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		key, err := gateway.ParseKey(pem.EncodeToMemory(block))
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(keys) != want {
		return nil, errors.New("has no key, or a damaged one")
	}
	return keys, nil
}

// phaseIn makes keys that are new to this process wait, so that the services have
// fetched them when they begin to sign. known are those it has.
func phaseIn(keys, known []gateway.Key, from time.Time) {
	since := make(map[string]time.Time)
	for _, k := range known {
		since[k.ID()] = k.SignFrom
	}
	for i := range keys {
		at, old := since[keys[i].ID()]
		if !old {
			at = from
		}
		keys[i].SignFrom = at
	}
}

// readCookieKeys returns the keys in a file, or none without one.
func readCookieKeys(file string) ([][]byte, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("-cookie-keys-file: %w", err)
	}
	keys, err := parseCookieKeys(string(text))
	if err != nil {
		return nil, fmt.Errorf("-cookie-keys-file: %s: %w", file, err)
	}
	return keys, nil
}

// parseCookieKeys takes one key per line, in base64. Empty lines and comments are
// no keys.
func parseCookieKeys(text string) (keys [][]byte, err error) {
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, fmt.Errorf("line %d is not base64", n+1)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("has no key")
	}
	return keys, nil
}

package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxBody is the largest answer that is decoded. Larger ones are for Client.HTTP.
const maxBody = 16 << 20

// Get gets what is at path, beneath BaseURL, and decodes it into out: a pointer as
// for json.Unmarshal, or nil. The path may have a query, and is otherwise used as
// it is: escape what comes from elsewhere with url.PathEscape.
//
// A status that is no success is an *Error. An answer that is not JSON is an error
// if out is not nil: an error page with status 200 is no result.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodGet, path, nil, out)
}

// Post sends in as JSON, or no body if it is nil, and decodes the answer as Get does.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	return c.call(ctx, http.MethodPost, path, in, out)
}

// Put is Post with the method PUT.
func (c *Client) Put(ctx context.Context, path string, in, out any) error {
	return c.call(ctx, http.MethodPut, path, in, out)
}

// Patch is Post with the method PATCH.
func (c *Client) Patch(ctx context.Context, path string, in, out any) error {
	return c.call(ctx, http.MethodPatch, path, in, out)
}

// Delete is Get with the method DELETE.
func (c *Client) Delete(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodDelete, path, nil, out)
}

// call makes a call like any other.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	return c.recorded(ctx, new(record), method, path, in, out)
}

// recorded makes one call as the record asks, and notes in it what became of the
// session.
func (c *Client) recorded(ctx context.Context, rec *record, method, path string, in, out any) error {
	ctx = withOptions(ctx, func(o *options) { o.record = rec })
	req, err := c.request(ctx, method, path, in)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return errorOf(method, req.URL.Path, res, rec)
	}
	if err := decode(res, out); err != nil {
		return fmt.Errorf("client: %s %s: %w", method, req.URL.Path, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, in any) (*http.Request, error) {
	if err := c.setUp(); err != nil {
		return nil, err
	}
	target, err := c.join(path)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("client: %s %s: encode the request: %w", method, target.Path, err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, fmt.Errorf("client: %s %s: %w", method, target.Path, err)
	}
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// join returns the URL of a path. One of another server is refused: it would be
// called without the session, which nobody means who writes it here.
func (c *Client) join(path string) (*url.URL, error) {
	ref, err := url.Parse(path)
	if err != nil || ref.Scheme != "" || ref.Host != "" || ref.User != nil || ref.Opaque != "" {
		return nil, errors.New("client: the path is malformed, or that of another server")
	}
	u := *c.base
	u.Path = strings.TrimSuffix(c.base.Path, "/") + "/" + strings.TrimPrefix(ref.Path, "/")
	u.RawPath = strings.TrimSuffix(c.base.EscapedPath(), "/") + "/" + strings.TrimPrefix(ref.EscapedPath(), "/")
	u.RawQuery, u.Fragment, u.RawFragment = ref.RawQuery, "", ""
	return &u, nil
}

// decode reads an answer into out.
func decode(res *http.Response, out any) error {
	if out == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxErrorBody)) // so that the connection can be used again
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return fmt.Errorf("read the answer: %w", err)
	case len(data) > maxBody:
		return fmt.Errorf("the answer has more than %d MiB", maxBody>>20)
	case len(data) == 0: // 204 and its like
		return nil
	case !isJSON(res.Header):
		return fmt.Errorf("the answer is %q and no JSON", text(res.Header.Get("Content-Type"), ""))
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("decode the answer: %w", err)
	}
	return nil
}

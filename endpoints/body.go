package endpoints

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"
)

// maxBody is the longest body of a request, in bytes.
const maxBody = 64 << 10

// object is a JSON object with its values undecoded; nil: there is no body.
type object map[string]json.RawMessage

// readBody reads a request's body: nothing, or a JSON object. Types that a
// browser sends across origins without asking first are refused (ASVS 5.0
// 3.5.2).
func readBody(w http.ResponseWriter, r *http.Request) (object, error) {
	if r.Body == nil { // a request that no server made
		return nil, nil
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge
	case err != nil:
		return nil, errBadJSON // it broke off
	case len(data) == 0:
		return nil, nil
	case !isJSON(r.Header["Content-Type"]):
		return nil, problemOf(http.StatusUnsupportedMediaType)
	}
	return parseObject(data)
}

func isJSON(contentTypes []string) bool {
	if len(contentTypes) != 1 {
		return false
	}
	mediaType, _, err := mime.ParseMediaType(contentTypes[0])
	return err == nil && mediaType == "application/json"
}

// parseObject parses a JSON object, more strictly than json.Unmarshal: keys are
// compared byte by byte, there is none twice, and the text is UTF-8. Where two
// parsers read one text differently, one of them can be lied to (RFC 8259, 4).
func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, errBadJSON
	}
	if !json.Valid(data) { // also what is nested too deeply
		return nil, errBadJSON
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return nil, invalid("body", "object", data)
	}
	parsed := make(object)
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, errBadJSON
		}
		name, _ := key.(string)
		var value json.RawMessage
		if _, twice := parsed[name]; twice || dec.Decode(&value) != nil {
			return nil, errBadJSON
		}
		parsed[name] = value
	}
	return parsed, nil
}

// text returns the string under a key. Without one, the error is that the body
// is not as it should be.
func (o object) text(key string) (string, error) {
	if o == nil {
		return "", invalid("body", "object", nil)
	}
	return field[string](o, key, "string")
}

// optional returns the value under a key, or instead if there is none.
func optional[T any](o object, key, kind string, instead T) (T, error) {
	if value := o[key]; value == nil || string(value) == "null" {
		return instead, nil
	}
	return field[T](o, key, kind)
}

func field[T any](o object, key, kind string) (T, error) {
	var value *T // nil after null, which Unmarshal lets pass for anything
	if err := json.Unmarshal(nonNil(o[key]), &value); err != nil || value == nil {
		return *new(T), invalid("body."+key, kind, o[key])
	}
	return *value, nil
}

func nonNil(value json.RawMessage) json.RawMessage {
	if value == nil {
		return json.RawMessage("null")
	}
	return value
}

// invalid is the error about a value of the wrong kind, in the words that Better
// Auth clients know. It repeats nothing of the value.
func invalid(where, want string, got json.RawMessage) *problem {
	p := *errInvalid
	p.message = fmt.Sprintf("[%s] Invalid input: expected %s, received %s", where, want, kindOf(got))
	return &p
}

// kindOf names the kind of a valid JSON value as JavaScript does.
func kindOf(value json.RawMessage) string {
	value = bytes.TrimLeft(value, " \t\r\n")
	if len(value) == 0 {
		return "undefined"
	}
	switch value[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}

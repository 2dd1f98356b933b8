package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/updateage/session"
)

const (
	// tick is how often the event stream tells the time.
	tick = time.Second
	// patience is how long a client may take to accept a message.
	patience = 10 * time.Second
	// longest is how many bytes a message to the WebSocket may have.
	longest = 4096
)

// events is an event stream (Server-Sent Events). Its context is that of Live.
func events(w http.ResponseWriter, r *http.Request) {
	ctx, user := r.Context(), session.FromContext(r.Context()).UserID()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx

	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for send(w, "time", user+", it is "+time.Now().Format(time.TimeOnly)) == nil {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			// The page is told, because browsers connect again by themselves.
			_ = send(w, "end", why(ctx))
			return
		}
	}
}

// send sends an event, with the data in JSON: a line break in it, such as one in a
// user ID, would begin an event of its own. The deadline takes the place of the
// server's WriteTimeout, which counts from the beginning of the request.
func send(w http.ResponseWriter, event, data string) error {
	encoded, err := json.Marshal(data)
	if err != nil {
		return err
	}
	rc := http.NewResponseController(w)
	if err := rc.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, encoded); err != nil {
		return err
	}
	return rc.Flush()
}

// socket is a WebSocket that answers what it gets.
func socket(w http.ResponseWriter, r *http.Request) {
	ctx, user := r.Context(), session.FromContext(r.Context()).UserID()
	conn, err := websocket.Accept(w, r, nil) // refuses other origins, too
	if err != nil {
		return // it has answered
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(longest)
	// A read or write whose context ends cuts the connection. Close ends both as
	// well, and tells the client why.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close(status(ctx), why(ctx)) })
	defer stop()
	until := context.WithoutCancel(ctx)
	for {
		kind, message, err := conn.Read(until)
		if err != nil || reply(until, conn, kind, user+": "+string(message)) != nil {
			return
		}
	}
}

func reply(ctx context.Context, conn *websocket.Conn, kind websocket.MessageType, text string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return conn.Write(ctx, kind, []byte(text))
}

// status is the close code that tells a page whether to connect again.
func status(ctx context.Context) websocket.StatusCode {
	if errors.Is(context.Cause(ctx), errShutdown) {
		return websocket.StatusGoingAway
	}
	return websocket.StatusPolicyViolation
}

// why says in words for the page why a stream ends.
func why(ctx context.Context) string {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, session.ErrRevoked):
		return "signed out"
	case errors.Is(cause, session.ErrExpired):
		return "session expired"
	case errors.Is(cause, errShutdown):
		return "back soon"
	}
	return "closed"
}

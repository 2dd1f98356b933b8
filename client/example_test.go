package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/updateage/session/client"
)

// exampleServer is a server whose sign-in answers as Flowfull clients expect it.
func exampleServer() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /auth/login", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"success":true,"session_id":"token-of-ada"}`)
	})
	mux.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("X-Session-ID") != "token-of-ada" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `["tea","bread"]`)
	})
	return httptest.NewServer(mux)
}

func Example() {
	server := exampleServer()
	defer server.Close()
	ctx := context.Background()

	api := &client.Client{BaseURL: server.URL}
	credentials := map[string]string{"email": "ada@example.com", "password": "correct horse"}
	if err := api.SignIn(ctx, "/auth/login", credentials, nil); err != nil {
		log.Fatal(err)
	}

	var orders []string
	if err := api.Get(ctx, "/orders", &orders); err != nil {
		log.Fatal(err)
	}
	fmt.Println(orders)
	// Output: [tea bread]
}

// A program that starts again and again keeps the session in a file of its user.
func ExampleUserFile() {
	file, err := client.UserFile("my-tool")
	if err != nil {
		log.Fatal(err)
	}
	api := &client.Client{BaseURL: "https://api.example.com", Storage: file}
	if signedIn, err := api.SignedIn(context.Background()); err == nil && !signedIn {
		fmt.Println("run my-tool sign-in first")
	}
}

// Who has an http.Client already puts a Transport into it.
func ExampleTransport() {
	server := exampleServer()
	defer server.Close()

	web := &http.Client{Transport: &client.Transport{Origin: server.URL}}
	if _, err := web.Post(server.URL+"/auth/login", "application/json", nil); err != nil {
		log.Fatal(err)
	}
	res, err := web.Get(server.URL + "/orders")
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	fmt.Println(res.StatusCode)
	// Output: 200
}

// A server-rendered front end calls the services behind it as its user.
func ExampleFromRequest() {
	server := exampleServer()
	defer server.Close()
	api := &client.Client{BaseURL: server.URL}

	page := func(w http.ResponseWriter, r *http.Request) {
		user := api.WithStorage(client.FromRequest(r))
		var orders []string
		err := user.Get(r.Context(), "/orders", &orders)
		if errors.Is(err, client.ErrNoSession) {
			http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
			return
		}
		fmt.Fprintln(w, orders, err)
	}

	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: "__Host-session", Value: "token-of-ada"})
	w := httptest.NewRecorder()
	page(w, r)
	fmt.Print(w.Body)
	// Output: [tea bread] <nil>
}

func ExampleError() {
	server := exampleServer()
	defer server.Close()

	api := &client.Client{BaseURL: server.URL}
	err := api.Get(context.Background(), "/orders", nil)
	var e *client.Error
	if errors.As(err, &e) {
		fmt.Println(e.Status, e.Message, errors.Is(err, client.ErrNoSession))
	}
	// Output: 401 Unauthorized true
}

func ExampleClient_Watch() {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	api := &client.Client{BaseURL: "https://api.example.com"}
	for state := range api.Watch(ctx, client.WatchOptions{Interval: time.Minute}).Changes() {
		if state.Session == nil && state.Err == nil {
			fmt.Println("nobody is signed in")
			break
		}
	}
	// Output: nobody is signed in
}

package client_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/updateage/session/client"
)

// environment is a storage in five lines: it takes the session from the
// environment, as in a job that another program starts. Processes that this one
// starts inherit it.
type environment struct{}

func (environment) Get(_ context.Context, key string) (string, error) { return os.Getenv(key), nil }
func (environment) Set(_ context.Context, key, value string) error    { return os.Setenv(key, value) }
func (environment) Remove(_ context.Context, key string) error        { return os.Unsetenv(key) }

// A storage of your own is three methods.
func ExampleStorage() {
	ctx := context.Background()
	api := &client.Client{BaseURL: "https://api.example.com", Storage: environment{}, Key: "EXAMPLE_SESSION"}
	if err := api.SetSessionID(ctx, "token-of-ada"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(api.SignedIn(ctx))
	if err := api.ClearSession(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(api.SignedIn(ctx))
	// Output:
	// true <nil>
	// false <nil>
}

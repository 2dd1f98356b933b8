package ginsession_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/updateage/session"
	"github.com/updateage/session/ginsession"
	"github.com/updateage/session/internal/adaptertest"
	"github.com/updateage/session/memstore"
)

func TestPageShowsTheseFunctions(t *testing.T) {
	adaptertest.Documented(t, "../docs/frameworks.md", "example_test.go", "newRouter")
}

func newRouter(sessions *session.Manager) *gin.Engine {
	r := gin.New()
	r.Use(gin.Recovery(), ginsession.Middleware(sessions))
	r.POST("/login", func(c *gin.Context) {
		userID, ok := checkPassword(c.PostForm("name"), c.PostForm("password"))
		if !ok {
			c.String(http.StatusUnauthorized, "wrong name or password")
			return
		}
		s := ginsession.FromContext(c)
		if err := s.SignIn(c.Request.Context(), userID, session.SignInOptions{}); err != nil {
			c.String(session.Status(err), "try again")
			return
		}
		c.Redirect(http.StatusSeeOther, "/account")
	})
	account := r.Group("/account", ginsession.RequireUser(sessions))
	account.GET("", func(c *gin.Context) {
		c.String(http.StatusOK, "Hello, %s", ginsession.FromContext(c).UserID())
	})
	account.POST("/password", ginsession.RequireFresh(sessions), func(c *gin.Context) {
		if err := ginsession.FromContext(c).Rotate(c.Request.Context()); err != nil {
			c.String(session.Status(err), "try again")
		}
	})
	return r
}

func checkPassword(name, _ string) (userID string, ok bool) { return name, name == "alice" }

func Example() {
	sessions, err := session.New(memstore.New(memstore.Options{}), session.Config{})
	if err != nil {
		log.Fatal(err)
	}
	r := newRouter(sessions)

	login := httptest.NewRecorder()
	r.ServeHTTP(login, form("/login", "name=alice"))
	fmt.Println(login.Code, login.Header().Get("Location"))

	for _, cookies := range [][]*http.Cookie{login.Result().Cookies(), nil} {
		req := httptest.NewRequest(http.MethodGet, "/account", nil)
		for _, c := range cookies {
			req.AddCookie(c)
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 303 /account
	// 200 Hello, alice
	// 401 Unauthorized
}

// form is a request as a browser sends it for a form.
func form(path, fields string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(fields))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

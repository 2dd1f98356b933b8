package endpoints

import (
	"strconv"
	"time"

	"github.com/updateage/session"
)

// Time is a time that is encoded as JavaScript does, in UTC with milliseconds.
// The published clients make a Date of that, and leave the nine digits of
// time.Time a string. The zero Time is null. Use it in what LoadUser returns.
type Time struct{ time.Time }

// MarshalJSON encodes the time.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return strconv.AppendQuote(nil, t.UTC().Format("2006-01-02T15:04:05.000Z")), nil
}

// User is a user as Better Auth clients expect one, for LoadUser to return. Embed
// it in a type of your own to add fields.
type User struct {
	// ID is the user ID.
	ID string `json:"id"`
	// Name and Email are shown to the user himself.
	Name  string `json:"name"`
	Email string `json:"email"`
	// EmailVerified says whether the address is known to be the user's.
	EmailVerified bool `json:"emailVerified"`
	// Image is the URL of a picture; "": none.
	Image string `json:"image,omitempty"`
	// CreatedAt and UpdatedAt are the account's.
	CreatedAt Time `json:"createdAt"`
	UpdatedAt Time `json:"updatedAt"`
}

// shownSession is a session as all contracts show it.
type shownSession struct {
	ID        string `json:"id"`
	UserID    string `json:"userId"`
	ExpiresAt Time   `json:"expiresAt"`
	CreatedAt Time   `json:"createdAt"`
	UpdatedAt Time   `json:"updatedAt"`
	IPAddress string `json:"ipAddress"`
	UserAgent string `json:"userAgent"`
}

func show(i session.Info) shownSession {
	return shownSession{
		ID: i.ID, UserID: i.UserID,
		ExpiresAt: Time{i.ExpiresAt}, CreatedAt: Time{i.CreatedAt}, UpdatedAt: Time{i.UpdatedAt},
		IPAddress: i.IPAddress, UserAgent: i.UserAgent,
	}
}

// Bodies of answers.
type (
	success struct {
		Success bool `json:"success"`
	}
	done struct {
		Status bool `json:"status"`
	}
)

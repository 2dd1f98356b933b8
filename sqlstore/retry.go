package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"
)

// Every operation of a store can be repeated, also one whose reply was lost, so
// that an operation is repeated after an error that will likely not come again:
//
//   - the database has chosen it as the victim of a deadlock, or could not put it
//     in order with others, or somebody else is writing (SQLite): nothing of it
//     was done. It is repeated until the time-out.
//   - the connection was lost, because the server was restarted or the network
//     failed. The pool may hold some more of this kind, but a new one tells soon
//     whether the server is there: it is repeated twice.
//
// Not in a transaction of the caller's, all of which would have to be repeated:
// see WithTx.

const (
	lostRetries = 2
	firstWait   = time.Millisecond
	longWait    = 50 * time.Millisecond
)

// do does an operation within the store's time-out.
func (s *Store) do(ctx context.Context, operation func(context.Context) error) error {
	return s.doWithin(ctx, s.timeout, operation)
}

func (s *Store) doWithin(ctx context.Context, timeout time.Duration, operation func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if t := s.transaction(ctx); t != nil {
		return t.do(bounded, operation)
	}
	for attempt := 0; ; attempt++ {
		err := operation(bounded)
		if err == nil {
			return nil
		}
		if !s.worthAnother(err, attempt) || pause(bounded, attempt) != nil {
			return because(bounded, err)
		}
		s.stats.retries.Add(1)
	}
}

// because makes sure that the error of an operation which the context has ended
// says so: some drivers report what they did about it.
func because(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// pause waits a random time, so that of many who wait for each other one gets
// through.
func pause(ctx context.Context, attempt int) error {
	wait := min(firstWait<<min(attempt, 10), longWait)
	timer := time.NewTimer(wait/2 + rand.N(wait))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) worthAnother(err error, attempt int) bool {
	return s.dialect.contended(err) || attempt < lostRetries && s.dialect.lost(err)
}

// contended says whether the database has undone the statement because of others,
// as if it had not been sent.
func (d *dialect) contended(err error) bool {
	switch d.kind {
	case PostgreSQL:
		switch sqlState(err) {
		case "40001", // serialization_failure
			"40P01", // deadlock_detected
			"55P03": // lock_not_available, by lock_timeout
			return true
		}
	case MySQL:
		switch mysqlNumber(err) {
		case 1213, // ER_LOCK_DEADLOCK
			1205, // ER_LOCK_WAIT_TIMEOUT
			1020: // ER_CHECKREAD, MariaDB: another has changed the row
			return true
		}
	case SQLite:
		// SQLITE_BUSY and SQLITE_LOCKED; every driver shows SQLite's own words.
		text := err.Error()
		return strings.Contains(text, "database is locked") || strings.Contains(text, "database table is locked")
	}
	return false
}

// lost says whether the connection was lost, or what the driver thought it had, with
// or without a word from the server.
func (d *dialect) lost(err error) bool {
	var broken *net.OpError
	if errors.As(err, &broken) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	switch d.kind {
	case PostgreSQL:
		state := sqlState(err)
		return strings.HasPrefix(state, "08") || // connection_exception
			state == "26000" || // the driver had prepared it, and the server has forgotten
			state == "57P01" || state == "57P02" || state == "57P03" // shut down, crashed, starting up
	case MySQL:
		switch mysqlNumber(err) {
		case 1053, 1927: // ER_SERVER_SHUTDOWN; ER_CONNECTION_KILLED, MariaDB
			return true
		}
		return strings.Contains(err.Error(), "invalid connection") // mysql.ErrInvalidConn
	}
	return false
}

// sqlState returns the SQLSTATE of an error of PostgreSQL, which pgx and lib/pq
// tell by the same method.
func sqlState(err error) string {
	var answer interface{ SQLState() string }
	if errors.As(err, &answer) {
		return answer.SQLState()
	}
	return ""
}

// mysqlNumber returns the number of an error of MySQL. The driver has no method
// for it, and its text begins with "Error 1213 (40001): ".
func mysqlNumber(err error) int {
	_, rest, _ := strings.Cut(err.Error(), "Error ")
	digits, _, _ := strings.Cut(rest, " ")
	n, _ := strconv.Atoi(strings.TrimSuffix(digits, ":"))
	return n
}

// duplicate says whether MySQL refused a row because its ID is taken.
func duplicate(err error) bool { return err != nil && mysqlNumber(err) == 1062 }

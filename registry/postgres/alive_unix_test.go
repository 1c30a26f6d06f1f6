//go:build unix

package postgres_test

import (
	"net"
	"testing"
	"time"

	"artifactstore/registry/postgres"
)

// A connection is looked at while somebody reads from it, as pgx does in the
// background where a write was slow: that waits for nothing either.
func TestQuietBesideAReader(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	reading := make(chan int)
	go func() {
		var b [1]byte
		reading <- 0
		n, _ := here.Read(b[:])
		reading <- n
	}()
	<-reading
	answers := make(chan bool)
	for range 100 { // whether the reader waits already or not
		go func() { answers <- postgres.Quiet(here) }()
		select {
		case quiet := <-answers:
			if !quiet {
				t.Fatal("a silent connection is not quiet")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("it waits for the reader")
		}
		time.Sleep(time.Millisecond)
	}
	there.Close()
	if n := <-reading; n != 0 {
		t.Fatalf("read %d bytes", n)
	}
	if postgres.Quiet(here) {
		t.Error("a closed connection is quiet")
	}
}

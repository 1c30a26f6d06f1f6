package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
)

// conn is one keep-alive HTTP/1.1 connection, with as little work in it as can
// be: what the client costs is not to hide what the server costs.
type conn struct {
	net.Conn
	in   *bufio.Reader
	head []byte
}

func dial(address string) (*conn, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReaderSize(c, 256<<10)}, nil
}

// answer is what a response said.
type answer struct {
	status   int
	length   int64
	chunked  bool
	location string // the path, whether the server gave a path or a URL
	link     bool   // it has a Link: a list goes on
}

// do sends a request with a whole body and reads the answer to its end.
// fields are header lines, each with its CRLF.
func (c *conn) do(method, path, fields string, body []byte) (answer, error) {
	c.begin(method, path, fields, int64(len(body)))
	c.head = append(c.head, body...)
	if _, err := c.Write(c.head); err != nil {
		return answer{}, err
	}
	return c.answer(method)
}

// begin puts the head of a request into c.head.
func (c *conn) begin(method, path, fields string, length int64) {
	c.head = append(c.head[:0], method...)
	c.head = append(append(c.head, ' '), path...)
	c.head = append(c.head, " HTTP/1.1\r\nHost: bench\r\n"...)
	c.head = append(c.head, fields...)
	if method == "POST" || method == "PUT" || method == "PATCH" {
		c.head = append(c.head, "Content-Length: "...)
		c.head = append(strconv.AppendInt(c.head, length, 10), "\r\n"...)
	}
	c.head = append(c.head, "\r\n"...)
}

// upload sends a request with size bytes: first, then content, repeated. It
// reads the answer.
func (c *conn) upload(method, path, fields string, first, content []byte, size int64) (answer, error) {
	c.begin(method, path, fields, size)
	if _, err := c.Write(append(c.head, first...)); err != nil {
		return answer{}, err
	}
	for left := size - int64(len(first)); left > 0; {
		n, err := c.Write(content[:min(int64(len(content)), left)])
		if err != nil {
			return answer{}, err
		}
		left -= int64(n)
	}
	return c.answer(method)
}

func (c *conn) answer(method string) (answer, error) {
	a := answer{length: -1}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return a, fmt.Errorf("status line %q", line)
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, err
	}
	if err := c.fields(&a); err != nil {
		return a, err
	}
	if method != "HEAD" && a.status != 204 {
		err = c.discard(a)
	}
	if err == nil && a.status >= 300 {
		err = fmt.Errorf("%s answered with %d", method, a.status)
	}
	return a, err
}

// discard reads a body to its end.
func (c *conn) discard(a answer) error {
	switch {
	case a.chunked:
		if _, err := io.Copy(io.Discard, httputil.NewChunkedReader(c.in)); err != nil {
			return err
		}
		_, err := c.in.ReadSlice('\n') // the end of the trailer, which is empty
		return err
	case a.length < 0:
		return fmt.Errorf("%d without a length", a.status)
	}
	_, err := c.in.Discard(int(a.length))
	return err
}

func (c *conn) fields(a *answer) error {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return nil
		}
		name, value, _ := strings.Cut(string(line), ": ")
		switch name {
		case "Content-Length":
			if a.length, err = strconv.ParseInt(value, 10, 64); err != nil {
				return err
			}
		case "Transfer-Encoding":
			a.chunked = value == "chunked"
		case "Link":
			a.link = true
		case "Location":
			if u, err := url.Parse(value); err == nil {
				a.location = u.RequestURI()
			}
		}
	}
}

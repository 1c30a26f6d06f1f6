package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"artifactstore/backends/s3/s3test"
)

// together measures transfers where the service, the gateway and the client share
// their processors. The relay is a process too, and looks at no byte.
func (b *s3Bench) together(t *table) error {
	stop, err := b.startRelay()
	if err != nil {
		return err
	}
	defer stop()
	turns, err := b.uploads(t, b.bareUpload, b.post, b.put, func() (turn, string, error) { return b.uploadBy(b.relayed) })
	if err != nil {
		return err
	}
	t.plain("upload, digest unknown: gateway / SDK", "GiB", turns[1], turns[0])
	t.plain("upload, digest known: gateway / SDK", "GiB", turns[2], turns[0])
	t.plain("upload: SDK through a relay / SDK", "GiB", turns[3], turns[0])
	if turns, err = t.turns("download", b.bareGet, b.get, func() (turn, error) { return b.getBy(b.relayed) }); err != nil {
		return err
	}
	t.plain("download: gateway / SDK", "GiB", turns[1], turns[0])
	t.plain("download: SDK through a relay / SDK", "GiB", turns[2], turns[0])
	return nil
}

// startRelay puts a relay before the service.
func (b *s3Bench) startRelay() (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	service := strings.TrimPrefix(b.server.EndpointURL, "http://")
	relay, err := startServer("relay", filepath.Join(b.gateway.cmd.Dir, "relay"), "/", self, "-relay", service)
	if err != nil {
		return nil, err
	}
	server := b.server
	server.EndpointURL = "http://" + relay.address
	b.relayed = s3test.NewBare(server, partBytes, partsAtOnce)
	return relay.stop, nil
}

// serveRelay passes the bytes of connections on to an address and back. They
// do not come to the program: the kernel hands them from socket to socket (splice).
func serveRelay(address string) error {
	l, err := net.Listen("tcp", os.Getenv("ARTIFACTSTORE_LISTEN"))
	if err != nil {
		return err
	}
	for {
		client, err := l.Accept()
		if err != nil {
			return err
		}
		go relay(client, address)
	}
}

func relay(client net.Conn, address string) {
	defer client.Close()
	service, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer service.Close()
	go func() {
		io.Copy(service, client)
		service.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(client, service)
}

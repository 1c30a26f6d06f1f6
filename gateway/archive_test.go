package gateway_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	shapes "artifactstore/deploy/house"
)

// archived are the files of the packages that these tests read back.
var archived = map[string]string{
	"a":                       "hello",
	"bin/app":                 strings.Repeat("0123456789abcdef", 20_000),
	"empty":                   "",
	"größe":                   "unicode",
	strings.Repeat("d/", 200): "long",
}

// fill makes a sealed package of archived files, put in the order of a map: any.
func (h *house) fill(path string) {
	h.t.Helper()
	for name, content := range archived {
		h.do(201, "PUT", path+"/files/"+strings.TrimSuffix(name, "/"), content)
	}
	h.do(200, "POST", path+"/seal", "")
}

// readTar returns the files of a tar, and fails where their order or what is said of them is
// not always the same.
func readTar(t *testing.T, text []byte) map[string]string {
	t.Helper()
	files, last := map[string]string{}, ""
	for r := tar.NewReader(bytes.NewReader(text)); ; {
		head, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[head.Name] = string(content)
		if head.Name <= last || head.Mode != 0o644 || !head.ModTime.Equal(time.Unix(0, 0)) || head.Typeflag != tar.TypeReg || head.Uid != 0 || head.Uname != "" {
			t.Errorf("%+v after %q", head, last)
		}
		last = head.Name
	}
}

func readZip(t *testing.T, text []byte) map[string]string {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	files, last := map[string]string{}, ""
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in) // checks the CRC
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(content)
		if f.Name <= last || f.Mode() != 0o644 || !f.Modified.Equal(time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)) || f.NonUTF8 {
			t.Errorf("%+v after %q", f.FileHeader, last)
		}
		last = f.Name
	}
	return files
}

// The same files make the same bytes, on any gateway and at any time: the digests
// are written down here.
func TestArchive(t *testing.T) { everyHouse(t, archiveOf) }

func archiveOf(t *testing.T, at shapes.House) {
	for _, test := range []struct {
		query, media, name, digest string
		read                       func(*testing.T, []byte) map[string]string
	}{
		{"", "application/x-tar", "app-1.0.tar", "sha256:797e6b7a06c1ce4d994461f02bfe796eeccfc58d871c280bc2bbb9840ad9341c", readTar},
		{"?format=tar", "application/x-tar", "app-1.0.tar", "sha256:797e6b7a06c1ce4d994461f02bfe796eeccfc58d871c280bc2bbb9840ad9341c", readTar},
		{"?format=zip", "application/zip", "app-1.0.zip", "sha256:fa28ab6c4ec13e4c29fd082267744ddb803c680d6000c5b5797d2ab818051a2c", readZip},
	} {
		for range 2 {
			h := open(t, changes{at: at})
			h.fill(release)
			resp, text := h.do(200, "GET", release+"/archive"+test.query, "")
			if resp.Header.Get("Content-Type") != test.media || resp.Header.Get("Content-Disposition") != `attachment; filename="`+test.name+`"` {
				t.Errorf("%v", resp.Header)
			}
			files := test.read(t, text)
			if len(files) != len(archived) {
				t.Errorf("%d files of %d", len(files), len(archived))
			}
			for name, want := range archived {
				if got, ok := files[strings.TrimSuffix(name, "/")]; !ok || got != want {
					t.Errorf("%.40q has %d bytes, want %d", name, len(got), len(want))
				}
			}
			if got := sha(text); got != test.digest {
				t.Errorf("%s is %s, want %s", test.name, got, test.digest)
			}
			head, none := h.do(200, "HEAD", release+"/archive"+test.query, "")
			if head.Header.Get("Content-Type") != test.media || len(none) > 0 {
				t.Errorf("%v %q", head.Header, none)
			}
		}
	}
}

func TestArchiveOfNothing(t *testing.T) {
	h := open(t, changes{})
	h.do(201, "PUT", release, "")
	for query, read := range map[string]func(*testing.T, []byte) map[string]string{"": readTar, "?format=zip": readZip} {
		if _, text := h.do(200, "GET", release+"/archive"+query, ""); len(read(t, text)) != 0 {
			t.Errorf("%s: %q", query, text)
		}
	}
	for _, query := range []string{"?format=", "?format=rar", "?format=tar&format=zip"} {
		h.refused(400, "parameter_invalid", "GET", release+"/archive"+query, "")
	}
	h.refused(400, "parameter_unknown", "GET", release+"/archive?form=zip", "")
}

// An archive that breaks off is no archive: the connection ends before its end.
// One whose first file is away has an answer of its own.
func TestArchiveBreaksOff(t *testing.T) { everyHouse(t, archiveBreaksOff) }

func archiveBreaksOff(t *testing.T, at shapes.House) {
	for _, query := range []string{"", "?format=zip"} {
		for lost, first := range map[string]bool{"0": true, "1": false} {
			t.Run(fmt.Sprint("archive", query, " without ", lost), func(t *testing.T) {
				h := open(t, changes{at: at})
				for i := range 2 {
					h.do(201, "PUT", fmt.Sprintf("%s/files/%d", release, i), strings.Repeat(fmt.Sprint(i), 1<<20))
				}
				gone := "/v1/blobs/" + sha([]byte(strings.Repeat(lost, 1<<20)))
				h.remove(gone)
				if first {
					resp, text := h.request("GET", release+"/archive"+query, nil)
					refusal(t, resp, text, 404, "blob_unavailable")
					return
				}
				req, err := http.NewRequest("GET", h.url+release+"/archive"+query, nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				n, err := io.Copy(io.Discard, resp.Body)
				if resp.StatusCode != 200 || n < 1<<20 || !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%s, %d bytes, %v: want a torn body", resp.Status, n, err)
				}
			})
		}
	}
}

// Bytes that are lost heal when the file is put again; until then no wrong byte
// is sent.
func TestFileHeals(t *testing.T) { everyHouse(t, fileHeals) }

func fileHeals(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	h.do(201, "PUT", release+"/files/a", "hello")
	h.remove("/v1/blobs/" + sha([]byte("hello")))
	resp, text := h.request("GET", release+"/files/a", nil)
	refusal(t, resp, text, 404, "blob_unavailable")
	if p := h.show(""); len(p.Files) != 1 || len(p.Files[0].BackendIDs) != 0 {
		t.Errorf("%+v", p.Files)
	}
	h.do(200, "PUT", release+"/files/a", "hello")
	if _, text := h.do(200, "GET", release+"/files/a", ""); string(text) != "hello" {
		t.Errorf("%q", text)
	}
	if p := h.show(""); len(p.Files[0].BackendIDs) != 1 {
		t.Errorf("%+v", p.Files)
	}
}

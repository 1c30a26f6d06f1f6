package plain

import (
	"archive/tar"
	"archive/zip"
	"io"
	"net/http"
	"time"

	"artifactstore/cas"
)

// archive sends the files of a package as one stream, each as it is read. Nothing
// in it depends on when or where it is made: files in byte order of their paths,
// one mode, one time, no owner, nothing compressed. A sealed package is always the
// same bytes; an open one is what it holds while it is read. Where a file breaks
// off the connection ends, so that no one takes the rest for the whole.
func (f *Face) archive(w http.ResponseWriter, r *http.Request, k cas.PackageKey) error {
	if err := onlyRead(r); err != nil {
		return err
	}
	form, err := parseForm(r.URL.RawQuery)
	if err != nil {
		return err
	}
	if _, err := f.Store.Package(r.Context(), k); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", form.media)
	h.Set("Content-Disposition", disposition(k.Name+"-"+k.Version+form.suffix))
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		return nil
	}
	out := form.open(w)
	for file, err := range f.Store.Files(r.Context(), k, "") {
		if err != nil {
			return err
		}
		if err := f.pack(r, out, file); err != nil {
			return err
		}
	}
	return out.Close()
}

// pack adds one file. It is opened before its header is written: the first then
// still has an answer of its own where its bytes are away.
func (f *Face) pack(r *http.Request, out archive, file cas.PackageFile) error {
	blob, err := f.Store.OpenListed(r.Context(), file)
	if err != nil {
		return err
	}
	defer blob.Close()
	if err := blob.Prepare(blob.Size); err != nil {
		return err
	}
	to, err := out.add(file.Path, blob.Size)
	if err != nil {
		return err
	}
	_, err = blob.CopyTo(to, blob.Size)
	return err
}

// archive is an archive being written.
type archive interface {
	// add begins a file; its bytes are written before the next one.
	add(path string, size int64) (io.Writer, error)
	Close() error
}

// archiveForm is a format of archives.
type archiveForm struct {
	media, suffix string
	open          func(io.Writer) archive
}

var archiveForms = map[string]archiveForm{
	"tar": {"application/x-tar", ".tar", func(w io.Writer) archive { return tarArchive{tar.NewWriter(w)} }},
	"zip": {"application/zip", ".zip", func(w io.Writer) archive { return zipArchive{zip.NewWriter(w)} }},
}

func parseForm(query string) (archiveForm, error) {
	values, err := parseQuery(query, "format")
	if err != nil {
		return archiveForm{}, err
	}
	name := "tar"
	if values.Has("format") {
		name = values.Get("format")
	}
	form, ok := archiveForms[name]
	if !ok {
		return form, badParameter("format=%.80q: want tar or zip", name)
	}
	return form, nil
}

// mode is that of every file in an archive: what can be run is not recorded.
const mode = 0o644

type tarArchive struct{ *tar.Writer }

func (a tarArchive) add(path string, size int64) (io.Writer, error) {
	return a.Writer, a.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: path, Size: size, Mode: mode, ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
	})
}

type zipArchive struct{ *zip.Writer }

// earliest is the first time that a zip file can name.
var earliest = time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)

func (a zipArchive) add(path string, _ int64) (io.Writer, error) {
	h := &zip.FileHeader{Name: path, Method: zip.Store, Modified: earliest}
	h.SetMode(mode)
	return a.CreateHeader(h)
}

package registry

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"artifactstore/cas/digest"
)

// Limits of a package.
const (
	maxPath        = 1024    // bytes
	maxFiles       = 100_000 // born with it
	maxLabels      = 64
	maxAnnotations = 100_000
)

func (d PackageCreated) validate() error {
	return first(d.Package.validate(), checkText("retention_class", d.RetentionClass, maxName),
		checkLabels(d.Labels), checkFiles(d.Files), d.validateFormat())
}

// validateFormat checks what belongs to the one format and not to the other.
func (d PackageCreated) validateFormat() error {
	switch {
	case d.Format == FormatOCI && d.OCI != nil && d.Package.Version == d.Manifest.String() && d.Package.isManifest():
		return d.OCI.validate()
	case d.Format == FormatFiles && d.OCI == nil && d.Manifest.IsZero() && !d.Package.isManifest():
		return nil
	}
	return fmt.Errorf("%w: format %.80q does not go with version %.80q, manifest %q or what is said of it",
		ErrRecord, d.Format, d.Package.Version, d.Manifest)
}

func (d PackageFileAdded) validate() error {
	return first(d.Package.validate(), checkPath(d.Path), checkBlob(d.Blob))
}

func (d PackageFileRemoved) validate() error { return first(d.Package.validate(), checkPath(d.Path)) }

func (d PackageSealed) validate() error {
	return first(d.Package.validate(), checkDigest("manifest", d.Manifest, digest.SHA256), checkRevision(d.Revision))
}

func (d PackageRenewed) validate() error {
	err := first(d.Package.validate(), checkText("retention_class", d.RetentionClass, maxName))
	if err == nil && d.Was != "" {
		err = checkText("was", d.Was, maxName)
	}
	return err
}

func (d PackageDeleted) validate() error { return d.Package.validate() }

func (d TagSet) validate() error {
	return first(TagRemoved{d.Repository, d.Tag}.validate(), checkDigest("manifest", d.Manifest, digest.SHA256), checkNamed(d.Named))
}

func (d TagRemoved) validate() error {
	return first(checkText("repository", d.Repository, maxRepository), checkText("tag", d.Tag, maxName))
}

func (k PackageKey) validate() error {
	err := first(checkText("producer", k.Producer, maxRepository), checkText("name", k.Name, maxRepository),
		checkText("version", k.Version, maxName))
	if err != nil {
		return err
	}
	if !k.isManifest() {
		if strings.Contains(k.Producer+k.Name+k.Version, "/") {
			return fmt.Errorf("%w: package %q: a part has a slash", ErrRecord, k)
		}
		return nil
	}
	manifest, err := digest.Parse(k.Version)
	if err != nil || manifest.Algorithm() != digest.SHA256 || manifestKey(k.Name, manifest) != k {
		return fmt.Errorf("%w: package %q of producer %q: want a repository, its first segment and a primary digest", ErrRecord, k, k.Producer)
	}
	return nil
}

func (o OCI) validate() error {
	return first(checkText("media_type", o.MediaType, maxMediaType), checkOptional("artifact_type", o.ArtifactType, maxMediaType),
		checkOptional("subject", o.Subject, maxMediaType), checkNamed(o.Named), checkAnnotations(o.Annotations))
}

// checkNamed checks a digest that is not the primary one, or none.
func checkNamed(d digest.Digest) error {
	if d.Algorithm() == digest.SHA256 {
		return fmt.Errorf("%w: named %q is the primary digest, which goes without saying", ErrRecord, d)
	}
	return nil
}

func checkRevision(n int64) error {
	if n < 1 {
		return fmt.Errorf("%w: revision %d", ErrRecord, n)
	}
	return nil
}

// checkLabels checks the texts that a client gave a package: a key has no "=",
// which divides it from its value where both are written together.
func checkLabels(labels map[string]string) error {
	if len(labels) > maxLabels {
		return fmt.Errorf("%w: %d labels, want %d at most", ErrRecord, len(labels), maxLabels)
	}
	for k, v := range labels {
		if err := first(checkText("label", k, maxName), checkOptional("label's value", v, maxRepository)); err != nil {
			return err
		}
		if strings.Contains(k, "=") {
			return fmt.Errorf("%w: label %q has a =", ErrRecord, k)
		}
	}
	return nil
}

// checkAnnotations takes any text: it is shown in JSON, and nowhere else.
func checkAnnotations(annotations map[string]string) error {
	if len(annotations) > maxAnnotations {
		return fmt.Errorf("%w: %d annotations, want %d at most", ErrRecord, len(annotations), maxAnnotations)
	}
	for k, v := range annotations {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fmt.Errorf("%w: annotation %.80q is not UTF-8", ErrRecord, k)
		}
	}
	return nil
}

func checkFiles(files []File) error {
	if len(files) > maxFiles {
		return fmt.Errorf("%w: %d files, want %d at most", ErrRecord, len(files), maxFiles)
	}
	for i, f := range files {
		if err := first(checkPath(f.Path), checkBlob(f.Blob)); err != nil {
			return err
		}
		if i > 0 && files[i-1].Path >= f.Path {
			return fmt.Errorf("%w: file %.80q is not in its order", ErrRecord, f.Path)
		}
	}
	return nil
}

// checkPath checks a relative path that means one file wherever it is unpacked.
func checkPath(p string) error {
	if len(p) > maxPath || !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl) {
		return fmt.Errorf("%w: path %.80q: want at most %d bytes of UTF-8 without control characters", ErrRecord, p, maxPath)
	}
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("%w: path %.80q has the segment %q", ErrRecord, p, segment)
		}
	}
	return nil
}

package plain

import (
	"encoding/base64"
	"net/http"

	"github.com/dunglas/httpsfv"

	"artifactstore/cas/digest"
	"artifactstore/gateway/problem"
)

// fieldAlgorithms are the active algorithms of RFC 9530, section 5. Digests of
// any other are ignored, as the RFC asks.
var fieldAlgorithms = map[string]digest.Algorithm{"sha-256": digest.SHA256, "sha-512": digest.SHA512}

// parseDigestFields returns the digests that Repr-Digest and Content-Digest
// fields announce (RFC 9530). Both speak of the same bytes here, since a whole
// blob travels as it is.
func parseDigestFields(h http.Header) ([]digest.Digest, error) {
	var all []digest.Digest
	for _, field := range []string{"Repr-Digest", "Content-Digest"} {
		if len(h[field]) == 0 {
			continue
		}
		dict, err := httpsfv.UnmarshalDictionary(h[field])
		if err != nil {
			return nil, problem.New(http.StatusBadRequest, "digest_invalid", "%s: not a dictionary as in RFC 9530: %v", field, err)
		}
		for _, name := range dict.Names() {
			alg, ok := fieldAlgorithms[name]
			if !ok {
				continue
			}
			member, _ := dict.Get(name)
			item, _ := member.(httpsfv.Item)
			sum, ok := item.Value.([]byte)
			if !ok || len(sum) != alg.Size() {
				return nil, problem.New(http.StatusBadRequest, "digest_invalid", "%s: %s takes %d bytes in base64 between colons", field, name, alg.Size())
			}
			all = append(all, digest.New(alg, sum))
		}
	}
	return all, nil
}

// reprDigest returns the value of a Repr-Digest field.
func reprDigest(sha256 digest.Digest) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sha256.Sum()) + ":"
}

// parseDigest reads the digest in a path.
func parseDigest(s string) (digest.Digest, error) {
	d, err := digest.Parse(s)
	if err != nil {
		return d, problem.New(http.StatusBadRequest, "digest_invalid", "%v", err)
	}
	return d, nil
}

package gateway_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// classes are the kinds of hostile input, and for each face the tests that send it,
// by folder and name. A test named here that is no longer there is missed by
// TestEachClassHasItsTests.
var classes = []struct {
	what       string
	plain, oci []string
}{
	{
		"paths: dots, escapes, doubled and trailing slashes, NUL, invalid UTF-8, overlong; one answer for every spelling",
		[]string{". TestHostilePaths", ". TestHostilePackagePaths", ". TestFormsOfTargets", ". TestWhoMayDoWhat"},
		[]string{"oci TestBadInput", "oci TestParseRefuses", ". TestFormsOfTargets", ". TestWhoMayDoWhat"},
	},
	{
		"digests: capitals, wrong length, unknown algorithm, doubled prefix, another than the path's",
		[]string{". TestHostilePaths", ". TestUploadWithDigest", ". TestDigestFields"},
		[]string{"oci TestBadInput", "oci TestParseRefuses"},
	},
	{
		"numbers: negative, zero, beyond what fits, with a space; lengths that lie; ranges of content reversed, overlapping, ahead",
		[]string{". TestHostileParameters", ". TestHostileLists", ". TestLiesOnEveryWay", ". TestBodyLongerThanItsLength"},
		[]string{"oci TestBadInput", "oci TestParseContentRange", "oci TestOutOfOrder", ". TestLiesOnEveryWay", ". TestSmuggling"},
	},
	{
		"bodies: deep, huge or ambiguous JSON, manifests over the limit, endless extensions of chunks, bad trailers",
		[]string{". TestHostilePackageBodies", ". TestLyingBodies", ". TestLiesOnEveryWay", ". TestLiesOfAStream", ". TestDuplicateFields"},
		[]string{"oci TestBadInput", "oci TestParseManifestRefuses", ". TestLiesOnEveryWay", ". TestLiesOfAStream", ". TestDuplicateFields"},
	},
	{
		"ranges: a thousand, overlapping, of one byte each, longer than the blob, of nothing, under a weak condition",
		[]string{". TestRanges", ". TestHostileRanges"},
		[]string{". TestHostileRanges"},
	},
	{
		"slowness: headers, bodies, readers that stop; floods of connections, uploads and sessions",
		[]string{". TestSlowHeader", ". TestSlowHandshake", ". TestSilentConnectionOfStreams", ". TestSlowBody", ". TestSlowBodyOnEveryWay", ". TestSlowBodyOfAStream", ". TestStoppedReaderOnEveryWay", ". TestDeadConnectionOfStreams", ". TestConnectionsAreBounded", ". TestConnectionsOfOneAddress", ". TestUploadsOfOnePrincipal", ". TestNothingIsLeft"},
		[]string{". TestSlowHeader", ". TestSlowBodyOnEveryWay", ". TestStoppedReaderOnEveryWay", ". TestConnectionsAreBounded", ". TestConnectionsOfOneAddress", ". TestUploadsOfOnePrincipal", ". TestSessionsOfOnePrincipal", ". TestNothingIsLeft"},
	},
	{
		"who: every principal, verb and resource; sessions of others; what lies where one may not read",
		[]string{". TestWhoMayDoWhat", ". TestElsewhereIsLikeNowhere", ". TestElsewhereTakesAsLongAsNowhere", ". TestListsShowWhatOneMayRead", ". TestNothingIsSentUndecided"},
		[]string{". TestWhoMayDoWhat", ". TestElsewhereIsLikeNowhere", ". TestElsewhereTakesAsLongAsNowhere", ". TestUploadsAnswerToTheirPrincipal", ". TestNothingIsSentUndecided"},
	},
	{
		"tokens: none, empty, wrong, expired, of no algorithm, of confused keys",
		[]string{"auth TestTokens", "auth TestTokensEnd", "auth TestCredentials", "auth TestForgedTokens", "auth TestOIDCForged", ". TestWhoMayDoWhat"},
		[]string{"auth TestForgedTokens", "auth TestUnknownAndRemovedKeys", ". TestChallenge", ". TestTokenFlow", ". TestTokenForms", ". TestWhoMayDoWhat"},
	},
	{
		"stored content: an attachment, of no kind that a browser runs; no field with a line's end",
		[]string{". TestStoredContentIsInert", ". TestHeaders", ". TestFileIsServedAsABlob"},
		[]string{". TestStoredContentIsInert", "oci TestStoredManifest", "oci TestBadInput"},
	},
	{
		"secrets in logs, metrics, errors and events; series that a client makes",
		[]string{". TestSecretsOnBothFaces", ". TestAccessLog", "plain TestPackageRoutesAreBounded"},
		[]string{". TestSecretsOnBothFaces"},
	},
	{
		"backends that lie: gone, away, short, wrong bytes",
		[]string{". TestLyingBackendOnEveryWay", ". TestTornBody", ". TestHealOnPush", ". TestDiskFull", "../cas TestWrongBytes"},
		[]string{". TestLyingBackendOnEveryWay", "oci TestHeal", "../cas TestWrongBytes"},
	},
	{
		"races: pushes, deletes, collections and seals at once; commits twice; commits after an end",
		[]string{". TestPushMeetsRemoval", ". TestClassChangesRace", ". TestExistedAndConcurrentPuts", "../cas TestWritersAndSeals"},
		[]string{"oci TestPushAtOnce", "oci TestChunksAtOnce", "oci TestClosesAtOnce", "../cas TestEachStepOfUploadsMeetingCollections"},
	},
}

func TestEachClassHasItsTests(t *testing.T) {
	if len(classes) != 12 {
		t.Errorf("%d classes", len(classes))
	}
	known := map[string]string{}
	for _, c := range classes {
		for face, tests := range map[string][]string{"plain": c.plain, "oci": c.oci} {
			if len(tests) == 0 {
				t.Errorf("%s: no test on the face %s", c.what, face)
			}
			for _, test := range tests {
				dir, name, _ := strings.Cut(test, " ")
				if known[dir] == "" {
					known[dir] = testsOf(t, dir)
				}
				if !regexp.MustCompile(`(?m)^func ` + name + `\(`).MatchString(known[dir]) {
					t.Errorf("%s: the test %s is not there any more", c.what, test)
				}
			}
		}
	}
}

// testsOf is the text of a folder's tests.
func testsOf(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(files), err)
	}
	var all strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

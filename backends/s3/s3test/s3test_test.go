package s3test

import (
	"net/http"
	"testing"
)

func TestServersAnswer(t *testing.T) {
	for _, server := range All(t) {
		response, err := http.Get(server.EndpointURL + "/")
		if err != nil {
			t.Fatalf("%s: %v", server.Name, err)
		}
		response.Body.Close()
		if response.StatusCode >= 500 || server.Bucket == "" || server.AccessKey == "" || server.SecretKey == "" {
			t.Errorf("%s: status %d, %+v", server.Name, response.StatusCode, server)
		}
	}
}

func TestAddressThatIsNone(t *testing.T) {
	for _, address := range []string{"", "http://h/b", "http://a:b@h", "http://a:b@h/", "::"} {
		if got, err := rgw.parse(address); err == nil {
			t.Errorf("parse %q = %+v", address, got)
		}
	}
}

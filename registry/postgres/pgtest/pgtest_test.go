package pgtest_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"artifactstore/registry/postgres/pgtest"

	"github.com/jackc/pgx/v5"
)

// child makes this binary the process that starts a server and is killed.
const child = "PGTEST_CHILD"

func TestMain(m *testing.M) { pgtest.Main(m) }

func query(t *testing.T, url, sql string) (answer string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestNewDatabasesAreEmptyAndApart(t *testing.T) {
	a, b := pgtest.New(t), pgtest.New(t)
	const count = "SELECT count(*)::text FROM pg_tables WHERE schemaname = 'public'"
	if a == b || query(t, a, count) != "0" || query(t, b, count) != "0" {
		t.Errorf("%s and %s are not two empty databases", a, b)
	}
}

func TestStopAndStartKeepTheData(t *testing.T) {
	s := pgtest.Start(t)
	url := s.New(t)
	s.Stop(t)
	if conn, err := pgx.Connect(t.Context(), url); err == nil {
		conn.Close(t.Context())
		t.Fatal("a stopped server answers")
	}
	s.Start(t)
	if got := query(t, url, "SHOW fsync"); got != "on" {
		t.Errorf("fsync = %s, want PostgreSQL's default", got)
	}
}

func TestServerEndsWithAKilledTestProcess(t *testing.T) {
	if os.Getenv(child) != "" {
		s := pgtest.Start(t)
		fmt.Println("postmaster", query(t, s.URL(), "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)"))
		select {} // until it is killed
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := postmaster(t, out)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	for deadline := time.Now().Add(time.Minute); alive(pid); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("server %d lives on without the process that started it", pid)
		}
	}
}

// alive reports whether a process runs; one that nobody has waited for yet has
// no command line.
func alive(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && len(line) > 0
}

func postmaster(t *testing.T, out interface{ Read([]byte) (int, error) }) (pid int) {
	t.Helper()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "postmaster ") {
			if _, err := fmt.Sscanf(lines.Text(), "postmaster %d", &pid); err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("the process started no server")
	return 0
}

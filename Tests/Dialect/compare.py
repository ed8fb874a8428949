"""Runs the statements of the files beside this one against a PostgreSQL 15 and against the lab's, one by one, and says
where the answers differ: the rows as text, the columns' names and types, the tag, or the SQLSTATE.

    compare.py PORT DIRECTORY [FILE ...]

PORT is the lab's server's. DIRECTORY is an empty one, in which a PostgreSQL 15 is made, and removed again."""
import glob, os, pwd, shutil, subprocess, sys, time
import psycopg
from psycopg.pq import DiagnosticField, ExecStatus

BIN = "/usr/lib/postgresql/15/bin"


def statements(path):
    """Each ends with a semicolon at a line's end; comments stand on lines of their own."""
    lines = []
    for line in open(path, encoding="utf-8").read().split("\n"):
        if line.startswith("--"):
            continue
        lines.append(line)
        if line.rstrip().endswith(";"):
            yield "\n".join(lines).strip()
            lines = []


def answer(connection, sql):
    result = connection.pgconn.exec_(sql.encode())
    if result.status in (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE):
        text = result.error_field(DiagnosticField.MESSAGE_PRIMARY) or result.error_message or b""
        state = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
        # Of a key that exists already, which one it is.
        detail = (result.error_field(DiagnosticField.MESSAGE_DETAIL) or b"").decode() if state == "23505" else ""
        return ("error", state, detail), text.decode()
    columns = [(result.fname(i).decode(), result.ftype(i)) for i in range(result.nfields)]
    rows = [[result.get_value(row, i) for i in range(result.nfields)] for row in range(result.ntuples)]
    return (result.command_status.decode(), columns, rows), ""


class Reference:
    """A PostgreSQL 15 that listens in a directory only. It does not run as root, so root runs it as `postgres`."""

    def __init__(self, directory):
        self.directory = directory
        self.user = "postgres" if os.getuid() == 0 else None
        if self.user:
            shutil.chown(directory, self.user)
        run = lambda *words: subprocess.run(words, user=self.user, check=True, capture_output=True, cwd=directory)
        run(f"{BIN}/initdb", "-D", f"{directory}/data", "--locale=C.UTF-8", "-A", "trust", "-U", "postgres", "--no-sync")
        self.process = subprocess.Popen(
            [f"{BIN}/postgres", "-D", f"{directory}/data", "-k", directory, "-c", "listen_addresses=", "-c", "fsync=off",
             "-c", "timezone=UTC"], user=self.user, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.dsn = f"host={directory} user=postgres dbname=postgres"
        for _ in range(200):
            try:
                psycopg.connect(self.dsn).close()
                return
            except psycopg.OperationalError:
                time.sleep(0.1)
        raise SystemExit("PostgreSQL did not start")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def main(port, directory, files):
    reference = Reference(directory)
    different = count = 0
    try:
        for path in files or sorted(glob.glob(os.path.dirname(os.path.abspath(__file__)) + "/*.sql")):
            database = os.path.basename(path).split(".")[0]
            dsn = f"host=127.0.0.1 port={port} user=postgres sslmode=disable dbname="
            for maker in (dsn + "postgres", reference.dsn):
                with psycopg.connect(maker, autocommit=True) as connection:
                    connection.execute(f"drop database if exists {database}")
                    connection.execute(f"create database {database}")
            ours = psycopg.connect(dsn + database, autocommit=True)
            theirs = psycopg.connect(f"host={directory} user=postgres dbname={database}", autocommit=True)
            for sql in statements(path):
                count += 1
                (a, why), (b, also) = answer(ours, sql), answer(theirs, sql)
                if a[:2] == b[:2] and a[0] == "error" and not a[2]:
                    b = a  # UPDATE and keys of expressions: the lab does not say which key it was.
                if a != b:
                    different += 1
                    print(f"{os.path.basename(path)}: {sql}\n  lab:        {a} {why}\n  PostgreSQL: {b} {also}")
            ours.close()
            theirs.close()
    finally:
        reference.stop()
    print(f"{different} of {count} differ")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])

"""The embedded Postgres: made, killed, started again, closed to strangers, destroyed without a trace."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from memoryd.foundation.embedded_postgres import Cluster, ClusterLost, ClusterNotOurs
from memoryd.foundation.postgres_roles import (
    BadDatabaseUrl,
    DatabaseNotSuitable,
    DatabaseUnreachable,
    connected,
    prepare_external,
)


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "home", durable=False)
        cluster.ensure_running()
        yield cluster
        cluster.destroy()


def postmaster(cluster: Cluster) -> int:
    return int((cluster.data / "postmaster.pid").read_text(encoding="ascii").split()[0])


def test_a_second_process_finds_the_first_ones_server(own_cluster: Cluster) -> None:
    before = postmaster(own_cluster)
    Cluster(own_cluster.home, durable=False).ensure_running()
    assert postmaster(own_cluster) == before


def test_the_owner_may_make_roles_schemas_and_databases_and_is_no_superuser(own_cluster: Cluster) -> None:
    with connected(own_cluster.owner_url()) as owner:
        owner.execute("create role t_some_role nologin")
        owner.execute("create schema t_some")
        owner.execute("create table t_some.thing (at vector(3))")
        owner.execute("grant usage on schema t_some to t_some_role; grant select on t_some.thing to t_some_role")
        owner.execute("grant t_some_role to memoryd_server with inherit false, set true")
        owner.execute("create database clone template memoryd strategy file_copy")
        assert owner.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() == (False,)
        owner.execute("drop database clone")
    with connected(own_cluster.server_url()) as server:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            server.execute("select from t_some.thing")
        server.execute("set role t_some_role")
        assert server.execute("select from t_some.thing").fetchall() == []


def test_the_server_may_take_the_farm_and_owns_nothing(own_cluster: Cluster) -> None:
    with connected(own_cluster.server_url()) as server:
        server.execute("set role memoryd_farm")
        server.execute("reset role")
        row = server.execute(
            "select rolsuper, rolcreaterole, rolcreatedb, rolinherit, rolbypassrls from pg_roles"
            " where rolname = current_user"
        ).fetchone()
        assert row == (False, False, False, False, False)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            server.execute("create schema mine")


@pytest.mark.parametrize("role", ["postgres", "memoryd_owner", "memoryd_server"])
def test_a_wrong_password_is_refused(own_cluster: Cluster, role: str) -> None:
    url = f"postgresql://{role}:wrong@/memoryd?host={own_cluster.socket_folder}"
    with pytest.raises(DatabaseUnreachable, match="password authentication failed"), connected(url):
        pass


def test_no_port_is_open_and_keys_are_closed(own_cluster: Cluster) -> None:
    with connected(own_cluster.superuser_url()) as superuser:
        assert superuser.execute("show listen_addresses").fetchone() == ("",)
    for name in ("postgres_superuser", "postgres_owner", "postgres_server"):
        assert stat.S_IMODE((own_cluster.home / "keys" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(own_cluster.data.stat().st_mode) == 0o700


def test_after_a_kill_it_is_back_with_its_data(own_cluster: Cluster) -> None:
    with connected(own_cluster.owner_url()) as owner:
        owner.execute("create table kept (number int); insert into kept values (7)")
    os.kill(postmaster(own_cluster), signal.SIGKILL)
    assert own_cluster.supervise_once()
    assert not own_cluster.supervise_once()
    with connected(own_cluster.owner_url()) as owner:
        assert owner.execute("select number from kept").fetchall() == [(7,)]


def test_a_pid_file_that_names_a_stranger_does_not_stop_a_start(own_cluster: Cluster) -> None:
    own_cluster.stop()
    assert not own_cluster.is_running()
    pid_file = own_cluster.data / "postmaster.pid"
    # A living process of the same user that is no Postgres, as after a reboot.
    user = own_cluster.programs.user
    with subprocess.Popen(["sleep", "60"], user=None if user is None else user.uid, cwd="/") as stranger:
        pid_file.write_text(f"{stranger.pid}\n{own_cluster.data}\n1\n5432\n\n\n 1 1\nready\n", encoding="ascii")
        own_cluster.ensure_running()
        assert stranger.poll() is None
        stranger.kill()
    assert own_cluster.is_running()


def test_the_last_holder_stops_the_server() -> None:
    with tempfile.TemporaryDirectory() as folder:
        first, second = (Cluster(Path(folder) / "home", durable=False) for _ in range(2))
        try:
            with first.held():
                with second.held():
                    pass
                assert first.is_running()
            assert not first.is_running()
        finally:
            first.destroy()
        assert not first.folder.exists()
        assert list((first.home / "keys").iterdir()) == []


def test_a_home_whose_data_went_away_is_reported_and_not_begun_anew() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        (home / "keys").mkdir(parents=True)
        (home / "keys" / "memoryd-cluster").write_text("/somewhere/else\n", encoding="ascii")
        with pytest.raises(ClusterLost):
            Cluster(home).ensure_running()


def test_a_database_whose_keys_went_away_is_reported_at_once_and_can_be_begun_anew() -> None:
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "home")
        cluster.data.mkdir(parents=True)
        (cluster.folder / "memoryd-cluster").touch()
        try:
            with pytest.raises(ClusterLost, match="keys that are no longer in"):
                cluster.ensure_running()
            cluster.destroy()
            assert not cluster.folder.exists()
        finally:
            shutil.rmtree(cluster.folder, ignore_errors=True)


def test_a_folder_of_somebody_else_is_not_destroyed() -> None:
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "home")
        cluster.folder.mkdir(parents=True)
        try:
            (cluster.folder / "thesis.odt").touch()
            with pytest.raises(ClusterNotOurs):
                cluster.destroy()
            with pytest.raises(ClusterNotOurs):
                cluster.ensure_running()
        finally:
            shutil.rmtree(cluster.folder)


def test_an_external_server_is_prepared_twice_without_harm(own_cluster: Cluster, tmp_path: Path) -> None:
    first = prepare_external(own_cluster.owner_url(), tmp_path)
    assert prepare_external(own_cluster.owner_url(), tmp_path) == first
    with connected(first.server) as server:
        assert server.execute("select current_user::text").fetchone() == ("memoryd_server",)
    # Back to the password that the cluster's own address carries.
    shutil.copyfile(own_cluster.home / "keys" / "postgres_server", tmp_path / "postgres_external_server")
    prepare_external(own_cluster.owner_url(), tmp_path)


def test_an_external_server_that_will_not_do_is_refused_with_the_next_step(
    own_cluster: Cluster, tmp_path: Path
) -> None:
    with pytest.raises(BadDatabaseUrl):
        prepare_external("no address", tmp_path)
    with pytest.raises(DatabaseUnreachable):
        prepare_external(f"postgresql://a:b@/memoryd?host={tmp_path}", tmp_path)
    with pytest.raises(DatabaseNotSuitable, match="may not create roles") as refused:
        prepare_external(own_cluster.server_url(), tmp_path)
    assert "createrole" in str(refused.value.hint)
    with connected(own_cluster.superuser_url()) as superuser:
        superuser.execute("create database bare owner memoryd_owner template template0")
    with pytest.raises(DatabaseNotSuitable, match="vector is not installed"):
        prepare_external(own_cluster.owner_url("bare"), tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_without_root_it_runs_inside_the_home_even_when_its_path_is_long() -> None:
    Cluster(Path("/nowhere")).programs  # noqa: B018 -- makes the system user
    user = pwd.getpwnam("memoryd")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / ("long" * 30)
        home.mkdir()
        os.chown(home, user.pw_uid, user.pw_gid)
        child = os.fork()
        if child == 0:
            # The interpreter may lie below /root, so the user is changed in a fork and not in a new process.
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            os._exit(_live_and_die(home))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _live_and_die(home: Path) -> int:
    try:
        cluster = Cluster(home, durable=False)
        cluster.ensure_running()
        well = cluster.is_running() and cluster.data.is_relative_to(home)
        cluster.destroy()
    except Exception:
        traceback.print_exc()
        return 1
    return 0 if well and not cluster.socket_folder.exists() else 2

"""How the lab's broker and RabbitMQ are started beside one another, each in a directory of its own."""

from servers import free_port


def commands(program, directory):
    """How to start each side, any number of times: name, what it is started with, port, and its own directory."""
    ports = [free_port() for _ in range(4)]
    configuration = directory / "rabbitmq.conf"
    configuration.write_text(f"listeners.tcp.1 = 127.0.0.1:{ports[1]}\nlog.console = false\n")
    (directory / "plugins").write_text("[].\n")
    environment = {
        "RABBITMQ_MNESIA_BASE": directory / "mnesia", "RABBITMQ_LOG_BASE": directory / "log",
        "RABBITMQ_CONFIG_FILE": configuration, "RABBITMQ_ENABLED_PLUGINS_FILE": directory / "plugins",
        "RABBITMQ_NODENAME": "bench@localhost", "RABBITMQ_DIST_PORT": ports[2], "ERL_EPMD_PORT": ports[3],
        "RABBITMQ_PID_FILE": directory / "pid", "HOME": directory,
    }
    peer = ["env", *(f"{name}={value}" for name, value in environment.items()),
            "/usr/lib/rabbitmq/bin/rabbitmq-server"]
    own = [program, "messageq", "--data-dir", str(directory / "mq"), "--port", str(ports[0])]
    return [("sdlab", own, ports[0], "mq"), ("rabbitmq", peer, ports[1], "mnesia")]

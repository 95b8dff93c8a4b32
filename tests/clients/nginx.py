"""Nginx: a real nginx with its default buffering in front of a gateway."""

import grp
import os
import pwd
import socket
import subprocess

from marks import GUARD

CONFIGURATION = """
daemon off;
user {user} {group};
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {target};
        }}
    }}
}}
"""


class Nginx:
    def __init__(self, folder, target):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self._process = start(folder, target, listener)

    def close(self):
        self._process.terminate()
        try:
            self._process.wait(GUARD)
        finally:
            self._process.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def start(folder, target, listener):
    """nginx takes over the listening socket (its way of being upgraded): no race for the port, no wait for a start."""
    config = folder / "nginx.conf"
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    port = listener.getsockname()[1]
    config.write_text(CONFIGURATION.format(user=user, group=group, folder=folder, port=port, target=target))
    return subprocess.Popen(
        ["nginx", "-p", folder, "-c", config, "-e", folder / "error.log"],
        env=os.environ | {"NGINX": f"{listener.fileno()};"},
        pass_fds=[listener.fileno()],
    )

"""Agents: coding agents as their vendors ship them, run once over a prompt in a folder of their own."""

import os
import platform
import subprocess
from pathlib import Path

from reply import Call

MODULES = Path(__file__).resolve().parent / "node_modules"
MACHINE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x64"
PATIENCE = 120  # seconds; the time limit of a run, reached only when a promise is broken
# Nothing is asked of anybody but the gateway.
OFFLINE = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


class Agent:
    """`home` is where it keeps what it knows, `work` where it works."""

    def __init__(self, home, work):
        self.home = home
        self.work = work

    def run(self, url, model, prompt):
        """What it printed, once it has ended."""
        home = {"HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "dumb"}
        ran = subprocess.run(
            self.command(url, model, prompt),
            cwd=self.work,
            env=home | OFFLINE | self.environment(url, model),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        return ran.stdout

    def environment(self, url, model):
        return {}

    def call(self, id, command):
        """Its tool for commands of the shell, called."""
        return Call(id, self.shell, self.shell_arguments(command))


class ClaudeCode(Agent):
    """It speaks Anthropic's API."""

    shell = "Bash"

    def command(self, url, model, prompt):
        program = MODULES / f"@anthropic-ai/claude-code-linux-{MACHINE}/claude"
        options = ["--dangerously-skip-permissions", "--output-format", "stream-json", "--verbose"]
        return [program, "-p", prompt, *options]

    def environment(self, url, model):
        models = ["ANTHROPIC_MODEL", "ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL"]
        key = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": "unused", "IS_SANDBOX": "1"}
        patience = {"CLAUDE_CODE_MAX_RETRIES": "4"}  # of itself it asks ten times, minutes apart at last
        return key | patience | dict.fromkeys(models, model)

    def shell_arguments(self, command):
        return {"command": command, "description": "Runs a command"}


class Codex(Agent):
    """It speaks OpenAI's Responses, with a provider of its own for the gateway."""

    shell = "exec_command"
    settings = []

    def command(self, url, model, prompt):
        self.configure(url, model)
        program = MODULES / f"@openai/codex-linux-{MACHINE}/vendor"
        (program,) = program.glob("*/bin/codex")
        options = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json"]
        return [program, "exec", *options, prompt]

    def configure(self, url, model):
        folder = self.home / ".codex"
        folder.mkdir(parents=True, exist_ok=True)
        common = [f'model = "{model}"', "check_for_update_on_startup = false", *self.settings]
        analytics = ["[analytics]", "enabled = false"]
        (folder / "config.toml").write_text("\n".join(common + self.provider(url) + analytics) + "\n")

    def provider(self, url):
        told = {"name": "Gateway", "base_url": f"{url}/v1", "wire_api": "responses", "env_key": "GATEWAY_KEY"}
        block = ", ".join(f'{key} = "{value}"' for key, value in told.items())
        return ['model_provider = "gateway"', f"model_providers.gateway = {{ {block} }}"]

    def environment(self, url, model):
        return {"GATEWAY_KEY": "unused"}

    def shell_arguments(self, command):
        return {"cmd": command}


class CodexWithBaseUrl(Codex):
    """Its own provider at another address, as most people begin; it tries a WebSocket first."""

    def provider(self, url):
        return [f'openai_base_url = "{url}/v1"']

    def environment(self, url, model):
        return {"CODEX_API_KEY": "unused"}

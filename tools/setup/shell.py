"""Running commands for the set-up: one line per step, logs kept, failures that say what to do."""

import hashlib
import json
import os
import shlex
import subprocess
import sys
import time

LOG_TAIL = 25  # lines of a failed command's log that are shown


class SetupError(Exception):
    """The set-up cannot go on; the message says what is wrong and which command mends it."""


def say(message):
    """Print one line of progress."""
    print(f'[setup] {message}', flush=True)


def output_of(*command):
    """Return the standard output of a quick command, or None if it fails or is not there."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def run_step(title, command, log, *, advice, env=None, cwd=None):
    """Run one long command with its output in a log file.

    Args:
        title: What the step does, for the line of progress.
        command: The command and its arguments.
        log: Path of the log file; a longer earlier one is replaced.
        advice: What a person should do if the command fails.
        env: Changes to the environment; a value of None removes the variable.
        cwd: Folder to run in.

    Raises:
        SetupError: If the command fails; shows the end of its log and the advice.
    """
    environment = dict(os.environ)
    for name, value in (env or {}).items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    log.parent.mkdir(parents=True, exist_ok=True)
    say(f'{title} ...')
    start = time.monotonic()
    with log.open('w') as stream:
        stream.write(f'$ {" ".join(shlex.quote(str(part)) for part in command)}\n')
        stream.flush()
        try:
            code = subprocess.call([str(part) for part in command], stdout=stream,
                                   stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                   env=environment, cwd=cwd)
        except OSError as error:
            raise SetupError(f'{title}: cannot run {command[0]}: {error}\n{advice}') from error
    if code != 0:
        lines = [line for line in log.read_text(errors='replace').splitlines()
                 if not line.startswith('WARNING: ')]
        print('\n'.join(lines[-LOG_TAIL:]), file=sys.stderr)
        raise SetupError(f'{title}: failed with exit code {code} (whole log: {log})\n{advice}')
    say(f'{title}: done in {time.monotonic() - start:.0f} s')


def fingerprint(*parts):
    """Hash strings and plain data; the same in every run of every Python."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read_json(path):
    """Read what `write_json` wrote; an empty dict if it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def write_json(path, content):
    """Write plain data so that a kill leaves the old file or the new one, never half of one."""
    draft = path.with_name(path.name + '.new')
    draft.write_text(json.dumps(content, indent=1) + '\n')
    os.replace(draft, path)

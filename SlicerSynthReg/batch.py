"""A worklist of requests, run by local worker processes or on a Dask cluster; resumable, and no failure stops it."""

from __future__ import annotations

import csv
import json
import os
import queue
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Callable

from SlicerSynthReg.client import WORKER, WorkerClient
from SlicerSynthReg.request import Cancelled, Request, RequestError, Result, Suggestion, plain
from SlicerSynthReg.run import result_hash, run
from SlicerSynthReg.tasks.table import TASKS, TaskSpec
from SlicerSynthReg.worklist import Worklist
from SlicerSynthReg.workspace import read_seal, sweep

RESULTS = "results.csv"
PAGE = "index.html"
_COLUMNS = ("name", "status", "seconds", "message")
_WORKER_BYTES = 4e9


@dataclass(frozen=True)
class RowResult:
    """status: done, skipped (whole from an earlier run) or failed. report: what the row's report.json measured."""

    name: str
    status: str
    seconds: float = 0.0
    message: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)


RowDone = Callable[[RowResult], None]


def run_batch(
    worklist: Worklist,
    out: Path,
    workers: int | None = None,
    scheduler: str | None = None,
    row_done: RowDone = lambda result: None,
    tasks: Mapping[str, TaskSpec] = TASKS,
    command: Sequence[str] = WORKER,
) -> list[RowResult]:
    """Run every row that has no whole result with the same inputs and parameters in `out`/name.

    workers: local processes (default: by processors and free memory). scheduler: address of a Dask scheduler whose
    workers see the same files, instead. row_done: called from this thread as each row ends. command: what starts a
    local worker. Returns the rows in the worklist's order; `out`/results.csv grows row by row and is put into that
    order, with measures added, at the end, beside a
    summary index.html. Errors: RequestError when nothing can be run or written at all.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with open(out / RESULTS, "w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            table.writerow(_COLUMNS)
            results: dict[str, RowResult] = {}

            def record(result: RowResult) -> None:
                results[result.name] = result
                table.writerow([result.name, result.status, f"{result.seconds:.1f}", result.message])
                stream.flush()
                row_done(result)

            pending = _pending(worklist, out, tasks, record)
            if pending and scheduler:
                _each(record, _on_cluster(pending, scheduler))
            elif pending:
                _each(record, _on_this_machine(pending, workers or _default_workers(len(pending)), command))
        ordered = [results[row.name] for row in worklist.rows]
        sweep(out)
        _write_table(out, ordered)
        if worklist.task == "register":
            _write_page(out, ordered)
    except OSError as error:
        raise RequestError(
            f"Found that {RESULTS} or {PAGE} in {out.name} cannot be written ({error.strerror}), expected a writable "
            "folder with free space. What is done is kept: free space or change permissions and start again."
        ) from error
    return ordered


def _each(record: RowDone, results: Generator[RowResult, None, None]) -> None:
    with closing(results):  # whatever ends this early, ends the workers
        for result in results:
            record(result)


def _pending(worklist: Worklist, out: Path, tasks: Mapping[str, TaskSpec], record: RowDone) -> dict[str, Request]:
    """Requests by row name; rows that are whole already, or cannot become a request, are recorded at once."""
    pending = {}
    for row in worklist.rows:
        try:
            request = worklist.request(row, out, tasks)
            seal = read_seal(out / row.name)
            if seal is not None and seal.get("fingerprint") == result_hash(request, tasks):
                record(RowResult(row.name, "skipped", message="whole from an earlier run", report=seal["report"]))
                continue
            pending[row.name] = request
        except (RequestError, OSError) as error:
            record(RowResult(row.name, "failed", message=_message(error)))
    return pending


def _on_this_machine(
    pending: Mapping[str, Request], workers: int, command: Sequence[str]
) -> Generator[RowResult, None, None]:
    """One worker process for each thread of a pool; a process that dies fails its row, the next row starts another."""
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    environment = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads)}
    clients = [WorkerClient(command, environment) for _ in range(min(workers, len(pending)))]
    free: queue.Queue[WorkerClient] = queue.Queue()
    for client in clients:
        free.put(client)
    stopped = threading.Event()

    def one(name: str, request: Request) -> RowResult:
        client = free.get()
        try:
            if stopped.is_set():
                raise Cancelled
            return _timed(name, lambda: client.run(request))
        finally:
            free.put(client)

    pool = ThreadPoolExecutor(len(clients))
    try:
        for future in as_completed([pool.submit(one, *item) for item in pending.items()]):
            yield future.result()
    except BaseException:
        stopped.set()
        for client in clients:
            client.kill()
        raise
    finally:
        pool.shutdown(wait=True)
        for client in clients:
            client.close()


def _on_cluster(pending: Mapping[str, Request], scheduler: str) -> Generator[RowResult, None, None]:
    """The same requests as Dask tasks; a worker that dies is retried by Dask, then the row fails."""
    try:
        from distributed import Client
        from distributed import as_completed as as_futures_end
    except ImportError as error:
        raise RequestError(
            "Found no Dask Distributed in this Python, expected it for --scheduler. "
            "Install it with: pip install 'slicersynthreg[cluster]'"
        ) from error
    try:
        client = Client(scheduler)
    except (OSError, ValueError) as error:
        raise RequestError(
            f"Found no Dask scheduler at {scheduler} ({type(error).__name__}), expected one that answers. "
            "Start it with `dask scheduler`, and workers with `dask worker ADDRESS --nthreads 1`."
        ) from error
    with client:
        names = {client.submit(_run_remotely, name, one.to_json(), pure=False): name for name, one in pending.items()}
        for future in as_futures_end(list(names)):
            lost = future.exception()
            yield future.result() if lost is None else RowResult(names[future], "failed", message=_message(lost))


def _run_remotely(name: str, request: dict[str, Any]) -> RowResult:
    return _timed(name, lambda: run(Request.from_json(request)))


def _timed(name: str, compute: Callable[[], Result]) -> RowResult:
    start = time.monotonic()
    try:
        result = compute()
    except RequestError as error:
        return RowResult(name, "failed", time.monotonic() - start, _message(error))
    return RowResult(name, "done", time.monotonic() - start, "; ".join(result.warnings), result.report)


def _message(error: BaseException) -> str:
    """On one line; foreign errors by their type only, as they may quote paths."""
    if isinstance(error, RequestError):
        return " ".join(error.told(_column).split())
    return f"Found an unexpected {type(error).__name__}, expected a result. The worker of this row was lost: run again."


def _column(suggestion: Suggestion) -> str:
    value = suggestion.value
    text = str(value).lower() if isinstance(value, bool) else value
    return f"write {text} into a column {suggestion.parameter} of the worklist"


def _default_workers(rows: int) -> int:
    import psutil

    by_memory = int(psutil.virtual_memory().available // _WORKER_BYTES)
    return max(1, min(rows, (os.cpu_count() or 1) // 4, by_memory))


def _write_table(out: Path, results: Sequence[RowResult]) -> None:
    """results.csv in the worklist's order, with a column for each number or word the reports hold."""
    measures = [dict(_flat(plain(result.report))) for result in results]
    names = list(dict.fromkeys(name for one in measures for name in one))
    with _whole(out / RESULTS) as stream:
        table = csv.writer(stream)
        table.writerow([*_COLUMNS, *names])
        for result, measure in zip(results, measures):
            own = [result.name, result.status, f"{result.seconds:.1f}", result.message]
            table.writerow([*own, *(measure.get(name, "") for name in names)])


def _write_page(out: Path, results: Sequence[RowResult]) -> None:
    """index.html: the report room's summary of the rows, with the pictures and pages that their tasks made."""
    from SlicerSynthReg.report.record import RegistrationReport, ReportError
    from SlicerSynthReg.report.summary import Case, summary_page

    cases = []
    for result in results:
        outputs = (read_seal(out / result.name) or {}).get("outputs", {})
        try:
            report = None if result.status == "failed" else RegistrationReport.from_json(json.dumps(result.report))
        except ReportError as error:
            report, result = None, replace(result, message=str(error))
        picture = (out / result.name / outputs["picture"]).read_bytes() if report and "picture" in outputs else None
        page = f"{result.name}/{outputs['page']}" if report and "page" in outputs else ""
        cases.append(Case(result.name, report, result.message if report is None else "", picture, page))
    with _whole(out / PAGE) as stream:
        stream.write(summary_page(cases))


@contextmanager
def _whole(path: Path) -> Iterator[IO[str]]:
    """A text file that takes the place of `path` when the block ends without error."""
    partial = path.with_name(f".{path.name}.partial")
    with open(partial, "w", newline="", encoding="utf-8") as stream:
        yield stream
    os.replace(partial, path)


def _flat(report: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers and single words of nested reports, as a.b.c; lists and tables by label stay in report.json."""
    for name, value in report.items():
        if isinstance(value, Mapping) and not any(key.isdigit() for key in value):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float, bool)) or (isinstance(value, str) and len(value) < 40):
            yield f"{prefix}{name}", value

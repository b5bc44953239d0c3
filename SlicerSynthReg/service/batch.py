"""Run a worklist by local worker processes or on a Dask cluster; resumable, and no failed row stops it."""

from __future__ import annotations

import csv
import json
import os
import queue
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable

from SlicerSynthReg.errors import Cancelled, RequestError, Suggestion, SynthRegError
from SlicerSynthReg.io.file_lock import FileLock
from SlicerSynthReg.io.files import atomic_write
from SlicerSynthReg.io.manifest import read_manifest
from SlicerSynthReg.request import Request, Result, to_jsonable
from SlicerSynthReg.service.client import WORKER, WorkerClient
from SlicerSynthReg.service.run import result_hash, run
from SlicerSynthReg.service.worklist import Worklist
from SlicerSynthReg.service.workspace import remove_abandoned
from SlicerSynthReg.tasks.registry import TASKS, TaskSpec

RESULTS = "results.csv"
PAGE = "index.html"
LOCK = ".batch.lock"
_COLUMNS = ("name", "status", "code", "seconds", "message")
_WORKER_BYTES = 4e9


@dataclass(frozen=True)
class RowResult:
    """Result of one row. status: done, skipped (complete from an earlier run) or failed. code: of the error of a failed
    row. message: error or warnings. report: measurements of the row's report.json."""

    name: str
    status: str
    seconds: float = 0.0
    message: str = ""
    code: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)

    def cells(self) -> list[str]:
        """Return the cells of _COLUMNS."""
        return [self.name, self.status, self.code, f"{self.seconds:.1f}", as_text_cell(self.message)]


@dataclass(frozen=True)
class Workers:
    """Where a batch runs. count: local processes (default: by CPU cores and free memory). command: starts one.
    scheduler: address of a Dask scheduler to use instead, whose workers see the same files.
    time_limit_s: of one row, in local processes."""

    count: int | None = None
    scheduler: str | None = None
    command: Sequence[str] = WORKER
    time_limit_s: float | None = None


def as_text_cell(value: Any) -> Any:
    """Return `value` for CSV; a text that a spreadsheet would run as a formula gets a leading apostrophe."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


RowDone = Callable[[RowResult], None]


def run_batch(
    worklist: Worklist,
    out: Path,
    workers: Workers = Workers(),
    row_done: RowDone = lambda result: None,
    tasks: Mapping[str, TaskSpec] = TASKS,
) -> list[RowResult]:
    """Run every row without a complete result of the same inputs and parameters in `out`/name.

    row_done: called from this thread after each row. Returns the rows in the order of the worklist. `out`/results.csv
    grows row by row; at the end it is sorted and measurements are added, and index.html is written. Raises RequestError
    (results-unwritable, batch-running, dask-missing, scheduler-unreachable) if nothing can be run or written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _held(out), open(out / RESULTS, "w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            table.writerow(_COLUMNS)
            results: dict[str, RowResult] = {}

            def record(result: RowResult) -> None:
                results[result.name] = result
                table.writerow(result.cells())
                stream.flush()
                row_done(result)

            pending = _pending(worklist, out, tasks, record)
            if pending:
                _record_all(record, _run_rows(pending, workers))
        ordered = [results[row.name] for row in worklist.rows]
        remove_abandoned(out)
        _write_table(out, ordered)
        if worklist.task == "register":
            _write_page(out, ordered)
    except OSError as error:
        raise RequestError(
            f"Found that {RESULTS} or {PAGE} in {out.name} cannot be written ({error.strerror}), expected a writable "
            "folder with free space. Finished rows are kept: free space or change permissions and start again.",
            code="results-unwritable",
        ) from error
    return ordered


@contextmanager
def _held(out: Path) -> Iterator[None]:
    """Hold the lock of a batch folder. Raises RequestError (batch-running) if another process holds it."""
    lock = FileLock(out / LOCK)
    if not lock.acquire():
        raise RequestError(
            f"Found another batch that is writing into {out.name}, expected one at a time. Wait for its end, or choose "
            "another folder.",
            code="batch-running",
        )
    try:
        yield
    finally:
        with suppress(OSError):
            lock.path.unlink()
        lock.release()


def _run_rows(pending: Mapping[str, Request], workers: Workers) -> Generator[RowResult, None, None]:
    if workers.scheduler:
        return _run_on_cluster(pending, workers.scheduler)
    return _run_locally(pending, workers.count or _default_workers(len(pending)), workers)


def _record_all(record: RowDone, results: Generator[RowResult, None, None]) -> None:
    with closing(results):  # an early end also ends the workers
        for result in results:
            record(result)


def _pending(worklist: Worklist, out: Path, tasks: Mapping[str, TaskSpec], record: RowDone) -> dict[str, Request]:
    """Return the requests by row name; complete and invalid rows are recorded at once."""
    pending = {}
    for row in worklist.rows:
        try:
            request = worklist.request(row, out, tasks)
            manifest = read_manifest(out / row.name, contents=True)
            if manifest is not None and manifest.get("fingerprint") == result_hash(request, tasks):
                record(
                    RowResult(row.name, "skipped", message="complete from an earlier run", report=manifest["report"])
                )
                continue
            pending[row.name] = request
        except Exception as error:  # one bad row never ends a batch
            record(_failure(row.name, error))
    return pending


def _run_locally(pending: Mapping[str, Request], count: int, workers: Workers) -> Generator[RowResult, None, None]:
    """Use one worker process for each thread of a pool; if one dies, its row fails and the next row starts another."""
    threads = str(max(1, (os.cpu_count() or 1) // count))
    environment = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads)}
    clients = [WorkerClient(workers.command, environment) for _ in range(min(count, len(pending)))]
    free: queue.Queue[WorkerClient] = queue.Queue()
    for client in clients:
        free.put(client)
    stopped = threading.Event()

    def run_row(name: str, request: Request) -> RowResult:
        client = free.get()
        try:
            if stopped.is_set():
                raise Cancelled
            return _timed(name, lambda: client.run(request, time_limit_s=workers.time_limit_s))
        finally:
            free.put(client)

    pool = ThreadPoolExecutor(len(clients))
    try:
        for future in as_completed([pool.submit(run_row, *item) for item in pending.items()]):
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


def _run_on_cluster(pending: Mapping[str, Request], scheduler: str) -> Generator[RowResult, None, None]:
    """Run the requests as Dask tasks; Dask retries a task whose worker dies, then the row fails."""
    try:
        from distributed import Client
        from distributed import as_completed as as_futures_end
    except ImportError as error:
        raise RequestError(
            "Found no Dask Distributed in this Python, expected it for --scheduler. "
            "Install it with: pip install 'slicersynthreg[cluster]'",
            code="dask-missing",
        ) from error
    try:
        client = Client(scheduler)
    except (OSError, ValueError) as error:
        raise RequestError(
            f"Found no Dask scheduler at {scheduler} ({type(error).__name__}), expected one that answers. "
            "Start it with `dask scheduler`, and workers with `dask worker ADDRESS --nthreads 1`.",
            code="scheduler-unreachable",
        ) from error
    with client:
        names = {client.submit(_run_remotely, name, item.to_json(), pure=False): name for name, item in pending.items()}
        for future in as_futures_end(list(names)):
            lost = future.exception()
            yield future.result() if lost is None else _failure(names[future], lost)


def _run_remotely(name: str, request: dict[str, Any]) -> RowResult:
    return _timed(name, lambda: run(Request.from_json(request)))


def _timed(name: str, compute: Callable[[], Result]) -> RowResult:
    start = time.monotonic()
    try:
        result = compute()
    except Cancelled:
        raise
    except Exception as error:  # one bad row never ends a batch
        return _failure(name, error, time.monotonic() - start)
    return RowResult(name, "done", time.monotonic() - start, "; ".join(result.warnings), report=result.report)


def _failure(name: str, error: BaseException, seconds: float = 0.0) -> RowResult:
    """Return a failed row with a message on one line; of unexpected errors the type only, as they may quote paths."""
    if isinstance(error, SynthRegError):
        return RowResult(name, "failed", seconds, " ".join(error.format(_column_text).split()), error.code)
    found = f"Found an unexpected {type(error).__name__}, expected a result."
    return RowResult(name, "failed", seconds, f"{found} The worker of this row was lost: run again.", "internal")


def _column_text(suggestion: Suggestion) -> str:
    value = suggestion.value
    text = str(value).lower() if isinstance(value, bool) else value
    return f"write {text} into a column {suggestion.parameter} of the worklist"


def _default_workers(rows: int) -> int:
    import psutil

    by_memory = int(psutil.virtual_memory().available // _WORKER_BYTES)
    return max(1, min(rows, (os.cpu_count() or 1) // 4, by_memory))


def _write_table(out: Path, results: Sequence[RowResult]) -> None:
    """Write results.csv in the order of the worklist, with a column for each number or word of the reports.

    Provenance (run.*) comes after them, and timings (run.stages.*) last.
    """
    measures = [dict(_flat(to_jsonable(result.report))) for result in results]
    names = sorted(
        dict.fromkeys(name for measure in measures for name in measure),
        key=lambda name: (name.startswith("run."), name.startswith("run.stages.")),
    )
    with atomic_write(out / RESULTS, ".csv") as part, open(part, "w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow([*_COLUMNS, *names])
        for result, measure in zip(results, measures):
            table.writerow([*result.cells(), *(as_text_cell(measure.get(name, "")) for name in names)])


def _write_page(out: Path, results: Sequence[RowResult]) -> None:
    """Write index.html: a summary of the rows with their pictures, and links to their pages."""
    from SlicerSynthReg.errors import ReportError
    from SlicerSynthReg.report.record import RegistrationReport
    from SlicerSynthReg.report.summary import Case, summary_page

    cases = []
    for result in results:
        outputs = (read_manifest(out / result.name) or {}).get("outputs", {})
        try:
            report = None if result.status == "failed" else RegistrationReport.from_json(json.dumps(result.report))
        except ReportError as error:
            report, result = None, replace(result, message=str(error))
        picture = (out / result.name / outputs["picture"]).read_bytes() if report and "picture" in outputs else None
        page = f"{result.name}/{outputs['page']}" if report and "page" in outputs else ""
        cases.append(Case(result.name, report, result.message if report is None else "", picture, page))
    with atomic_write(out / PAGE, ".html") as part, open(part, "w", newline="", encoding="utf-8") as stream:
        stream.write(summary_page(cases))


def _flat(report: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield numbers and short texts of nested reports as a.b.c; lists and tables per label stay in report.json."""
    for name, value in report.items():
        if isinstance(value, Mapping) and not any(key.isdigit() for key in value):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float, bool)) or (isinstance(value, str) and len(value) < 40):
            yield f"{prefix}{name}", value

import pytest
from pydicom.uid import UID
from support_docs import ROOT, code, section, tables

import dicomanon_node
from dicomanon_node.config.model import DicomDestination, Listener, NodeConfig
from dicomanon_node.config.options import CODES
from dicomanon_node.deid import dictionary, dummies, labels, pseudonyms
from dicomanon_node.deid.convert import output_transfer_syntax
from dicomanon_node.deid.plan import AVAILABLE_OPTIONS
from dicomanon_node.deid.table import TABLE, TABLE_EDITION, Code
from dicomanon_node.delivery import backlog, backoff, lane
from dicomanon_node.network import proposal
from dicomanon_node.network.reception import PDU_TOLERANCE_BYTES
from dicomanon_node.network.supported import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES

TEXT = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")

[SOP_CLASSES] = tables(section(TEXT, "Annex A: Storage SOP classes"))
[SYNTAXES] = tables(section(TEXT, "Annex B: Transfer syntaxes"))


def test_it_is_the_statement_of_this_version() -> None:
    assert f"dicomanon_node {dicomanon_node.__version__}," in TEXT


def assert_lists(rows: list[list[str]], accepted: frozenset[str]) -> None:
    documented = [code(uid) for _, uid in rows]
    assert len(set(documented)) == len(documented)
    missing = sorted(accepted - set(documented))
    assert [f"| {UID(uid).name} | `{uid}` |" for uid in missing] == []
    assert set(documented) - accepted == set()


def test_the_sop_classes_are_those_that_are_accepted() -> None:
    assert_lists(SOP_CLASSES, STORAGE_SOP_CLASSES)


def test_the_transfer_syntaxes_are_those_that_are_accepted() -> None:
    assert_lists(SYNTAXES, TRANSFER_SYNTAXES)


@pytest.mark.parametrize("rows", [SOP_CLASSES, SYNTAXES], ids=["SOP classes", "syntaxes"])
def test_names_are_those_of_the_standard(rows: list[list[str]]) -> None:
    known = [(name, UID(code(uid)).name) for name, uid in rows if UID(code(uid)).name != code(uid)]
    assert len(known) > 0.9 * len(rows)
    for name, standard_name in known:
        assert name == standard_name


def test_every_transfer_syntax_but_the_two_named_is_passed_through() -> None:
    converted = {uid for uid in TRANSFER_SYNTAXES if output_transfer_syntax(uid) != uid}
    introduction = section(TEXT, "Annex B: Transfer syntaxes").split("|")[0]
    assert converted == {uid for uid in TRANSFER_SYNTAXES if UID(uid).name in introduction} - {
        "1.2.840.10008.1.2.1"
    }


def test_the_options_are_those_that_are_available() -> None:
    [rows] = tables(section(TEXT, "5.1 Attribute Confidentiality Profiles"))
    documented = {number: is_available for _, number, is_available, *_ in rows}
    assert documented.pop("113100") == "Y"
    assert documented == {
        number: "Y" if option in AVAILABLE_OPTIONS else "N" for number, option in CODES.items()
    }
    assert all(configurable == available for _, _, available, _, configurable in rows)


def test_every_action_code_of_the_table_is_explained() -> None:
    actions = tables(section(TEXT, "5.2 How the actions of Table E.1-1 are done"))[0]
    assert {name for name, _ in actions} == set(Code)
    assert f"PS3.15 {TABLE_EDITION} Annex E" in TEXT
    assert len({row.basic for row in TABLE.values()} - {name for name, _ in actions}) == 0


def test_the_dummies_are_those_of_the_program() -> None:
    [rows] = tables(section(TEXT, "5.3 Dummy values"))
    documented = {vr: shown for vrs, shown in rows for vr in vrs.split()}
    assert documented.keys() == dictionary.VRS - {"SQ", "UI"}
    for vr, shown in documented.items():
        dummy = dummies.dummy(vr)
        if shown == "binary zero":
            assert dummy.strip(b"\0") == b"", vr
            assert dummy, vr
        else:
            assert dummy.decode("ascii") == code(shown), vr


def test_the_implementation_is_identified_by_what_is_sent() -> None:
    for name in ("2.2 NODE-SCP", "2.3 NODE-SCU"):
        values = {row[0]: code(row[1]) for row in tables(section(TEXT, name))[0]}
        assert values["Implementation Class UID"] == labels.IMPLEMENTATION_CLASS_UID
        assert values["Implementation Version Name"] == labels.IMPLEMENTATION_VERSION_NAME


def test_limits_and_times_are_the_defaults_of_the_program() -> None:
    listener = Listener()
    scp = {row[0]: row[1] for row in tables(section(TEXT, "2.2 NODE-SCP"))[0]}
    received = scp["maximum PDU received"]
    assert f"`listener.max_pdu_bytes`, {listener.max_pdu_bytes}," in received
    assert f"{PDU_TOLERANCE_BYTES} bytes" in received
    assert scp["associations at a time, each process"].startswith(
        f"`listener.max_associations`, {listener.max_associations};"
    )
    pace = scp["time for the rest of a PDU, and to take an answer"]
    assert pace.startswith(f"`listener.pdu_timeout_s`, {listener.pdu_timeout_s:g} s,")
    assert pace.endswith(f"`min_bytes_per_s`, {listener.min_bytes_per_s}")
    assert scp["time to A-ASSOCIATE-RQ (ARTIM)"].endswith(f", {listener.acse_timeout_s:g} s")
    assert scp["silence until A-ABORT"].endswith(f", {listener.idle_timeout_s:g} s")

    defaults = {name: field.default for name, field in DicomDestination.model_fields.items()}
    scu_text = section(TEXT, "2.3 NODE-SCU")
    scu = {row[0]: row[1] for row in tables(scu_text)[0]}
    assert scu["maximum PDU sent"].startswith(f"`max_pdu_bytes`, {defaults['max_pdu_bytes']},")
    assert scu["maximum PDU received"] == str(proposal.ADVERTISED_PDU_BYTES)
    assert scu["times to connection, association, response"] == ", ".join(
        f"`{name}` {defaults[name]:g} s"
        for name in ("connect_timeout_s", "acse_timeout_s", "response_timeout_s")
    )
    contexts = scu["presentation contexts"]
    assert f"the next {backlog.BATCH} instances" in contexts
    assert f"at most {proposal.MAX_CONTEXTS}" in contexts
    assert f"released after {lane.IDLE_S:g} s" in scu_text
    assert f"While {lane.EXTRA_FROM} instances and more wait" in scu_text
    assert f"each takes {lane.EXTRA_PACE_S * 1000:g} ms and more" in scu_text
    assert f"up to `associations`\n({defaults['associations']}) at a time" in scu_text
    assert scu["asynchronous operations window"].startswith(
        f"`operations_window`, {defaults['operations_window']} invoked, 1 performed proposed"
    )
    assert f"after {backoff.FIRST_S:g} s, doubled up to {backoff.LIMIT_S:g} s" in scu_text


def test_the_application_entities_are_configured_as_documented() -> None:
    listener = NodeConfig().listener
    [rows] = tables(section(TEXT, "2.1 Application Entities"))
    scp = rows[0]
    assert scp[3:] == [listener.ae_title, f"`listener.port`, {listener.port}"]


def test_pseudonyms_and_shifts_are_as_documented() -> None:
    made = pseudonyms.Pseudonyms(pseudonyms.Key(bytes(range(32))))
    names = [made.patient(str(number).encode()) for number in range(200)]
    alphabet = "".join(sorted(set("".join(names)), key=lambda c: (c.isdigit(), c)))
    assert f"16 of the characters `{alphabet}`" in TEXT
    assert {len(name) for name in names} == {16}
    shifts = {-made.days(str(number).encode()) for number in range(40_000)}
    assert f"{min(shifts)} to {max(shifts)} into the past" in TEXT

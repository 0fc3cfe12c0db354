"""Whether two identities are one patient's: format is none of it, placeholders are completed."""

import pytest

from receiver.instance.person import Person, Verdict, compare, differences


def person(
    patient_id: str = "4711",
    name: str = "Water^Walter",
    birth_date: str = "",
    sex: str = "",
    issuer: str = "",
    study_date: str = "",
) -> Person:
    return Person(patient_id, issuer, name, birth_date, sex, study_date)


def wide(text: str) -> str:
    """Write letters and digits as Japanese keyboards do."""
    return "".join(chr(ord(sign) + 0xFEE0) if sign.isalnum() else sign for sign in text)


FORMAT = [
    (person("0004711"), person("4711"), "leading zeros"),
    (person("AB-4711"), person("ab 4711 "), "case and punctuation"),
    (person(wide("4711")), person("4711"), "full-width digits"),
    (person("AB\u200c4711"), person("AB4711"), "a joiner in a number"),
    (person(name="نیک\u200cپی"), person(name="نیکپی"), "a joiner in a name"),
    (person(name="山田 太郎"), person(name="山田太郎"), "a space that was lost"),
    (person(name="WATER^WALTER^^^"), person(name="Water^Walter"), "case and empty components"),
    (person(name="Water^Walter^^Dr."), person(name="Water^Walter"), "a title"),
    (person(name="Walter Water"), person(name="Water^Walter"), "one component"),
    (person(name="Müller^Jörg"), person(name="Mueller^Joerg"), "umlauts written out"),
    (person(name="Müller^Jörg"), person(name="MULLER^JORG"), "umlauts dropped"),
    (person(name="MÃ¼ller^JÃ¶rg"), person(name="Müller^Jörg"), "UTF-8 read as Latin-1"),
    (person(name="M?ller^J?rg"), person(name="Müller^Jörg"), "signs that a character set lacks"),
    (person(name="Łuczak^Żaneta"), person(name="Luczak^Zaneta"), "Polish letters"),
    (person(name="Yamada^Tarou=山田^太郎"), person(name="山田^太郎"), "one representation of two"),
    (person(name="Yamada^Tarou"), person(name="山田^太郎"), "scripts that cannot be compared"),
    (person(name="\U00017000^Li"), person(name="Weiming^Li"), "letters that have no name"),
    (person(name=wide("Yamada^Tarou")), person(name="Yamada^Tarou"), "full-width letters"),
    (person(name="Иванов^Иван"), person(name="Ivanov^Ivan"), "transliterated"),
    (person(name="Van der Berg^Jan"), person(name="VanderBerg^Jan"), "spaces in a name"),
    (person(name="Water"), person(name="Water^Walter"), "the given name left out"),
    (person(name="Water^W"), person(name="Water^Walter"), "the first letter of it"),
    (person(issuer="HOSP"), person(issuer=""), "an issuer that one does not write"),
    (person("4711^^^HOSP&1.2.3&ISO"), person("4711"), "a number with HL7's issuer"),
    (person(birth_date="19600102"), person(birth_date=""), "a birth date that one does not write"),
    (person("", ""), person("", ""), "nothing is known"),
    (person("", "UNKNOWN"), person("", "Unbekannt^Notfall"), "two words for nobody"),
]
COMPLETED = [
    (person("", "UNKNOWN^TRAUMA"), person(), "neither number nor name"),
    (person("TR-0815", "UNKNOWN^TRAUMA", "19000101", "M"), person(sex="M"), "a temporary number"),
    (person("4711", "Notfall^Unbekannt"), person(), "a number, but no name"),
    (person(""), person(), "a name, but no number"),
    (person("0000"), person(), "zeros for a number"),
    (person("T1", "Doe^John"), person(), "John Doe"),
    (person("T1", "XXX^XXX"), person(), "one letter over and over"),
    (person("T1", "不明"), person(), "unknown in Japanese"),
    (person("T1", "UNKNOWN", "19700101"), person(birth_date="19680503"), "an age by guess"),
    (person("T1", "UNKNOWN", "19800701"), person(birth_date="19840503"), "a July by guess"),
    (person("T1", "UNKNOWN", "20260312", study_date="20260312"),
     person(birth_date="19840503"), "the day of admission for a birth date"),
]  # fmt: skip
CORRECTED = [
    (person(name="Smyth^Anna"), person(name="Smith^Anna"), "a slip of the pen"),
    (person(name="Meier^Anna"), person(name="Schulze^Anna"), "a marriage"),
    (person(birth_date="19600102"), person(birth_date="19600201"), "a birth date put right"),
    (person(name="Meier^Anna", birth_date="19600102"),
     person(name="Schulze^Berta", birth_date="19600102"), "number and birth date agree"),
    (person("1", birth_date="19600102"), person("2", birth_date="19600102"), "merged records"),
]  # fmt: skip
OTHER = [
    (person("4711"), person("4712"), "another number"),
    (person("4711", "Water^Walter"), person("4712", "Fire^Frieda"), "number and name"),
    (person("4711", "Water^Walter"), person("4711", "Fire^Frieda"), "one number, two names"),
    (person("1", "Smith^Anna", "20200101"), person("2", "Smith^Emma", "20200101"), "twins"),
    (person("", "Smith^Anna", "20200101"), person("2", "Smith^Emma", "20200101"), "a twin"),
    (person(""), person("4712", "Fire^Frieda"), "a name without number, and another one"),
    (person("T1", "UNKNOWN^TRAUMA"), person("T2", "UNKNOWN^TRAUMA"), "two unknown patients"),
    (person("", "TRAUMA^1"), person("", "TRAUMA^2"), "two unknown patients without a number"),
    (person("T1", "UNKNOWN", sex="M"), person(sex="F"), "a man whom nobody knows is no woman"),
    (person("1", "Water^W", issuer="A"), person("1", "Fire^F", issuer="B"), "two hospitals' 1"),
    (person("1", "", issuer="A"), person("1", "", issuer="B"), "two hospitals' 1, unnamed"),
    (person("1001", "王^伟"), person("2002", "李^小龙"), "names of one sign each"),
    (person("1001", "김^훈"), person("2002", "Kim^Minsu=김^민수"), "syllables of one sign"),
    (person("1001", "DO^JOHN"), person("2002", "SMITH^ALAN"), "a name that is nearly Doe"),
    (person("1001", "Dö^Jane"), person("2002", "SMITH^ALAN"), "a name that is written like Doe"),
    (person("T1", "UNKNOWN", "19500601"), person("2002", birth_date="19800601"), "born apart"),
]  # fmt: skip
CASES = [
    (verdict, one, other, why)
    for verdict, cases in (
        (Verdict.SAME, FORMAT),
        (Verdict.COMPLETED, COMPLETED),
        (Verdict.CORRECTED, CORRECTED),
        (Verdict.OTHER, OTHER),
    )
    for one, other, why in cases
]


@pytest.mark.parametrize(("verdict", "one", "other", "why"), CASES, ids=[case[3] for case in CASES])
def test_two_identities_are_compared_as_hospitals_write_them(
    verdict: Verdict, one: Person, other: Person, why: str
) -> None:
    assert compare(one, other) is verdict, why
    assert compare(other, one) is verdict, why


def test_what_differs_is_named_without_what_it_says() -> None:
    said = differences(person("4711", "Water^Walter"), person("4712", "Fire^Frieda"))
    assert said == "patient ID, name"

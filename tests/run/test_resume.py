from pipeline.run.resume import Scratch


def test_parts_have_states_of_their_own_in_one_folder(tmp_path):
    scratch = Scratch(tmp_path, "work", [])
    first, second = scratch.part("first"), scratch.part("second")
    first.save({"step": 1})
    assert (first.load(), second.load(), scratch.load()) == ({"step": 1}, None, None)
    scratch.save({"step": 3})
    assert Scratch(tmp_path, "work", []).part("first").load() == {"step": 1}
    assert scratch.load() == {"step": 3}
    second.clear()
    assert not scratch.folder.exists()

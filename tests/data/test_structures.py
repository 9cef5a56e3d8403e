from pipeline.data.structures import Structure, from_json, legend, names, of_task, to_json, with_role

PSFHS = (Structure("pubic_symphysis", "symphysis"), Structure("fetal_head", "head"), Structure("cord"))


def test_a_role_is_found_by_class_index_whatever_the_name():
    assert with_role(PSFHS, "head") == (2,)
    assert with_role(PSFHS, "symphysis") == (1,)
    assert with_role(PSFHS[2:], "head") == ()


def test_structures_come_from_the_parameters_and_from_files_alike():
    assert of_task({"pubic_symphysis": "symphysis", "fetal_head": "head", "cord": None}) == PSFHS
    assert from_json(to_json(PSFHS)) == PSFHS


def test_names_and_legend():
    assert names(PSFHS) == ("pubic_symphysis", "fetal_head", "cord")
    assert legend(PSFHS) == "0 background, 1 pubic_symphysis, 2 fetal_head, 3 cord"

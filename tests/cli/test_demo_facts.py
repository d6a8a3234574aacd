"""What the demo concludes from what its load generator saw."""

from progflags.cli.demo._facts import Answer, answers, exposed_users, lost, seconds_to_zero, unstable_users, wrong_bills


def answer(began, user="ann", status=200, checkout="off", search="off", took=0.01):
    return Answer(began, began + took, user, status, checkout, search)


def test_a_line_cut_short_by_a_kill_is_left_out():
    found = answers(["2.0 2.1 ann 200 on off right\n", "1.0 1.1 bob 0 - - wrong\n", "3.0 3.1 cyd 200 o"])

    assert [a.user for a in found] == ["bob", "ann"]


def test_lost_means_unanswered_not_an_error_page():
    assert lost([answer(1, status=500), answer(2, status=0), answer(3)]) == 1


def test_exposure_counts_people_not_requests():
    assert exposed_users([answer(1, search="on"), answer(2, search="on"), answer(3, "bob", search="on"), answer(4, "cyd")]) == 2


def test_the_time_to_zero_runs_from_the_first_bad_answer_to_the_last_answer_of_the_bad_release():
    facts = [answer(1, search="on"), answer(2, search="on", status=500), answer(5, search="on"), answer(9)]

    assert round(seconds_to_zero(facts), 6) == 3.0
    assert seconds_to_zero([answer(1, search="on")]) is None


def test_a_user_who_flips_within_a_stage_is_unstable():
    facts = [answer(1.0, checkout="on"), answer(2.0, checkout="off"), answer(1.5, "bob", checkout="off"), answer(11, "bob", checkout="on")]

    assert unstable_users(facts, changes=[0.0, 10.0], settle=0.5) == 1


def test_what_was_asked_while_the_workers_may_disagree_belongs_to_no_stage():
    facts = [answer(10.2, checkout="off"), answer(10.3, checkout="on"), answer(12, checkout="on")]

    assert unstable_users(facts, changes=[0.0, 10.0], settle=0.5) == 0


def test_an_answer_that_spans_a_share_change_belongs_to_no_stage():
    facts = [answer(9.9, checkout="off"), answer(9.95, checkout="on", took=0.1)]

    assert unstable_users(facts, changes=[0.0, 10.0], settle=0.5) == 0


def test_a_wrong_bill_is_counted_unless_no_answer_came_at_all():
    facts = answers(["1.0 1.1 ann 200 on off wrong\n", "2.0 2.1 bob 0 - - wrong\n", "3.0 3.1 cyd 200 on off right\n"])

    assert wrong_bills(facts) == 1

"""Scripts that more than one file of tests lets a backend play: functions of one answer."""

DIP = "Dip"
BENT = "the nib is bent"
DRY = "the inkwell is dry"


def say_dip_then(ending):
    """One word, and then what `ending` names: the method of `Answer` to call, or "fail"."""

    def script(answer):
        answer.open()
        answer.say(DIP)
        if ending == "fail":
            answer.fail(BENT)
        else:
            getattr(answer, ending)()
        answer.marks.make(ending)

    return script


def fail_before_the_first_token(answer):
    answer.open()
    answer.fail(BENT)


def wait_to_be_left_before_the_first_token(answer):
    answer.marks.make("asked")
    answer.wait_until_left()
    answer.marks.make("wait_until_left")


def break_off_in_a_whole_answer(answer):
    answer.begin()
    answer.send(b'{"model": "half a ')
    answer.cut()

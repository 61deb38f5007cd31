def draw(figures, stacks):
    return ""

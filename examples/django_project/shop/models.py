from django.db import models


class Book(models.Model):
    title = models.CharField(max_length=100)
    author = models.CharField(max_length=100, null=True)  # noqa: DJ001 - some old books have none, and that is the story

    def __str__(self) -> str:
        return self.title
